package columnar

import "fmt"

// The kinds of a token. Values come under the byte that they begin with.
const (
	tokenObject = '{'
	tokenArray  = '['
	tokenString = '"'
	tokenNumber = '0'
	tokenTrue   = 't'
	tokenFalse  = 'f'
	tokenNull   = 'n'
	tokenKey    = 'k' // a member's name; its value is the next token
)

// What a scan notes about a string on its way.
const (
	flagEscaped   = 1 << iota // it has escapes: its bytes are not its text
	flagSurrogate             // it has an escaped surrogate without its pair (RFC 8259 8.2)
)

// token is one value, or one member's name, of a scanned line.
type token struct {
	kind       byte
	flags      byte
	start, end uint32 // its bytes in the line; a string's or key's without the quotes
	next       uint32 // the token behind it and all that is in it
}

// maxDepth is how deep arrays and objects may nest. FHIR's own nesting stays below 20;
// what goes deeper is an attack on whoever reads it next.
const maxDepth = 1000

// scanner checks that a line, or a value in it, is JSON, and leaves its tokens on a tape.
// Members of an object are a key and a value in turn. It also says what is wrong with a
// line that a shredder could not read.
//
// Valid is what RFC 8259 says. Duplicate names and escaped lone surrogates are valid
// there; whether they can be columns is for others to see.
type scanner struct {
	tape  []token
	stack []uint32 // the tape's indices of the containers that are open
	outer int      // how many are open around what is scanned
}

// syntaxError says what is wrong with a line, and at which of its bytes, but nothing of
// its content.
type syntaxError struct {
	at   int
	what string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s at its byte %d", e.what, e.at) }

// scan reads a line that has no white space around it. The tape is good until the
// next call. The line must be shorter than 4 GiB.
func (s *scanner) scan(line []byte) error {
	if err := isObject(line); err != nil {
		return err
	}
	end, err := s.scanValue(line, 0)
	if err == nil && end != len(line) {
		err = &syntaxError{end, "something follows its JSON object"}
	}
	return err
}

// maxValues is how many values a line may have, or a few more. Each takes up to some hundred
// bytes of memory while it is read, so that [1,1,…] of 128 MiB, which a gzip of 128 KB can
// hold, would take gigabytes. A Group of two million members has fewer.
const maxValues = 8 << 20

// isObject checks what can be told of a line before its tokens.
func isObject(line []byte) error {
	if len(line) == 0 || line[0] != '{' {
		return &syntaxError{0, "it is not a JSON object"}
	}
	if at := invalidUTF8(line); at >= 0 {
		return &syntaxError{at, "it is not valid UTF-8"}
	}
	if len(line) > maxValues { // else it cannot have so many
		if at := afterValues(line, maxValues); at >= 0 {
			return &syntaxError{at, fmt.Sprintf("it has more than %d values", maxValues)}
		}
	}
	return nil
}

// afterValues is where a line has had most values by its commas and opening brackets, -1 if it
// has not so many.
func afterValues(line []byte, most int) int {
	n := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ',', '{', '[':
			if n++; n > most {
				return i
			}
		case '"':
			end, _, err := scanString(line, i+1)
			if err != nil {
				return -1 // whoever reads it finds out
			}
			i = end
		}
	}
	return -1
}

// scanValue puts the value that begins at i on the tape, alone, and returns its end.
func (s *scanner) scanValue(line []byte, i int) (end int, err error) {
	s.tape, s.stack = s.tape[:0], s.stack[:0]
	for { // one value a turn
		c := at(line, i)
		switch {
		case c == '{' || c == '[':
			if s.outer+len(s.stack) == maxDepth {
				return 0, &syntaxError{i, fmt.Sprintf("it nests deeper than %d", maxDepth)}
			}
			s.stack = append(s.stack, uint32(len(s.tape)))
			s.tape = append(s.tape, token{kind: c, start: uint32(i)})
			i = skipSpace(line, i+1)
			if at(line, i) != c+2 { // not "{}" or "[]": in ASCII the closing bracket is two further
				if c == '{' {
					var err error
					if i, err = s.key(line, i); err != nil {
						return 0, err
					}
				}
				continue
			}
			i = s.close(i)
		case c == '"':
			end, flags, err := scanString(line, i+1)
			if err != nil {
				return 0, err
			}
			s.value(token{kind: tokenString, flags: flags, start: uint32(i + 1), end: uint32(end)})
			i = end + 1
		case c == '-' || c-'0' <= 9:
			end, err := scanNumber(line, i)
			if err != nil {
				return 0, err
			}
			s.value(token{kind: tokenNumber, start: uint32(i), end: uint32(end)})
			i = end
		default:
			word := ""
			switch c {
			case 't':
				word = "true"
			case 'f':
				word = "false"
			case 'n':
				word = "null"
			}
			if word == "" || len(line)-i < len(word) || string(line[i:i+len(word)]) != word {
				return 0, &syntaxError{i, "there is no JSON value where one belongs"}
			}
			s.value(token{kind: c, start: uint32(i), end: uint32(i + len(word))})
			i += len(word)
		}
		// Behind a value: close what ends here, up to the next value's start.
		for {
			if len(s.stack) == 0 {
				return i, nil
			}
			i = skipSpace(line, i)
			open := s.tape[s.stack[len(s.stack)-1]].kind
			c := at(line, i)
			if c == open+2 {
				i = s.close(i)
				continue
			}
			if c != ',' {
				return 0, &syntaxError{i, "a comma or closing bracket is missing"}
			}
			i = skipSpace(line, i+1)
			if open == tokenObject {
				var err error
				if i, err = s.key(line, i); err != nil {
					return 0, err
				}
			}
			break
		}
	}
}

// value puts a scalar on the tape.
func (s *scanner) value(t token) {
	t.next = uint32(len(s.tape) + 1)
	s.tape = append(s.tape, t)
}

// key reads a member's name and colon, and returns where its value starts.
func (s *scanner) key(line []byte, i int) (int, error) {
	if at(line, i) != '"' {
		return 0, &syntaxError{i, "a member's name is missing"}
	}
	end, flags, err := scanString(line, i+1)
	if err != nil {
		return 0, err
	}
	s.value(token{kind: tokenKey, flags: flags, start: uint32(i + 1), end: uint32(end)})
	i = skipSpace(line, end+1)
	if at(line, i) != ':' {
		return 0, &syntaxError{i, "a colon is missing"}
	}
	return skipSpace(line, i+1), nil
}

// close ends the innermost container, whose closing bracket is at i, and returns what
// is behind it.
func (s *scanner) close(i int) int {
	last := len(s.stack) - 1
	t := &s.tape[s.stack[last]]
	t.end, t.next = uint32(i+1), uint32(len(s.tape))
	s.stack = s.stack[:last]
	return i + 1
}

// at is a line's byte, or 0, which JSON allows nowhere outside of strings, behind its end.
func at(line []byte, i int) byte {
	if i < len(line) {
		return line[i]
	}
	return 0
}

func skipSpace(line []byte, i int) int {
	for i < len(line) && line[i] <= ' ' && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r' || line[i] == '\n') {
		i++
	}
	return i
}
