package columnar

import "fmt"

// The kinds of a token. A value's kind is the byte that it begins with; for all numbers it is '0'.
const (
	tokenObject = '{'
	tokenArray  = '['
	tokenString = '"'
	tokenNumber = '0'
	tokenTrue   = 't'
	tokenFalse  = 'f'
	tokenNull   = 'n'
	tokenKey    = 'k' // a member's name; the next token is its value
)

// Flags of a string or key.
const (
	flagEscaped   = 1 << iota // it has escapes: its bytes are not its text
	flagSurrogate             // it has an escaped lone surrogate (RFC 8259, section 8.2)
)

// token is one value, or one member's name, of a scanned line.
type token struct {
	kind       byte
	flags      byte
	start, end uint32 // its bytes in the line, without the quotes of a string or key
	next       uint32 // index of the token after it and all that is in it
}

// maxDepth is how deep arrays and objects may nest. FHIR's own nesting stays below 20; anything
// deeper than maxDepth is an attack on whoever reads it next.
const maxDepth = 1000

// scanner checks that a line, or a value in it, is JSON, and leaves its tokens on a tape. An
// object's members are alternating keys and values. The scanner also tells what is wrong with a
// line that a shredder could not read.
//
// Valid means valid under RFC 8259. That includes duplicate names and escaped lone surrogates;
// whether columns can hold them is for callers to decide.
type scanner struct {
	tape  []token
	stack []uint32 // tape indices of the open containers
	outer int      // how many containers are open around what is scanned
}

// syntaxError says what is wrong with a line and at which byte, but nothing about its content.
type syntaxError struct {
	at   int
	what string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s at byte %d of the line", e.what, e.at) }

// scan reads a line that has no white space around it. The tape is valid until the next call. The
// line must be shorter than 4 GiB.
func (s *scanner) scan(line []byte) error {
	if err := isObject(line); err != nil {
		return err
	}
	end, err := s.scanValue(line, 0)
	if err == nil && end != len(line) {
		err = &syntaxError{end, "there is extra data after its JSON object"}
	}
	return err
}

// maxValues is how many values a line may have, give or take a few. Each takes up to some hundred
// bytes of memory while it is read, so [1,1,…] of 128 MiB, which fits into a gzip of 128 KB, would
// take gigabytes. A Group of two million members has fewer.
const maxValues = 8 << 20

// isObject checks what can be told about a line without its tokens: it begins like an object, is
// valid UTF-8, and does not have too many values.
func isObject(line []byte) error {
	if len(line) == 0 || line[0] != '{' {
		return &syntaxError{0, "it is not a JSON object"}
	}
	if at := invalidUTF8(line); at >= 0 {
		return &syntaxError{at, "it is not valid UTF-8"}
	}
	if len(line) > maxValues { // a shorter line cannot have that many
		if at := afterValues(line, maxValues); at >= 0 {
			return &syntaxError{at, fmt.Sprintf("it has more than %d values", maxValues)}
		}
	}
	return nil
}

// afterValues returns where a line exceeds limit values, counted by commas and opening brackets,
// or -1 if it does not.
func afterValues(line []byte, limit int) int {
	n := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ',', '{', '[':
			if n++; n > limit {
				return i
			}
		case '"':
			end, _, err := scanString(line, i+1)
			if err != nil {
				return -1 // left to whoever parses the line
			}
			i = end
		}
	}
	return -1
}

// scanValue puts the value that begins at i on the tape, with nothing else on it, and returns the
// value's end.
func (s *scanner) scanValue(line []byte, i int) (end int, err error) {
	s.tape, s.stack = s.tape[:0], s.stack[:0]
	for { // one value per iteration
		c := at(line, i)
		switch {
		case c == '{' || c == '[':
			if s.outer+len(s.stack) == maxDepth {
				return 0, &syntaxError{i, fmt.Sprintf("it is nested deeper than %d", maxDepth)}
			}
			s.stack = append(s.stack, uint32(len(s.tape)))
			s.tape = append(s.tape, token{kind: c, start: uint32(i)})
			i = skipSpace(line, i+1)
			if at(line, i) != c+2 { // not "{}" or "[]": in ASCII, c+2 is the closing bracket
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
				return 0, &syntaxError{i, "a JSON value is missing"}
			}
			s.value(token{kind: c, start: uint32(i), end: uint32(i + len(word))})
			i += len(word)
		}
		// After a value: close what ends here, then go to the next value.
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

// value puts a scalar or a key on the tape.
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

// close ends the innermost container, whose closing bracket is at i, and returns the index after
// it.
func (s *scanner) close(i int) int {
	last := len(s.stack) - 1
	t := &s.tape[s.stack[last]]
	t.end, t.next = uint32(i+1), uint32(len(s.tape))
	s.stack = s.stack[:last]
	return i + 1
}

// at returns a line's byte at i, or 0, which JSON never allows, past the end.
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
