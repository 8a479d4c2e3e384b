package columnar

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

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

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// scanString returns the index of the closing quote of a string whose text begins at i.
func scanString(line []byte, i int) (end int, flags byte, err error) {
	for {
		// Eight bytes at once, up to one that is a quote, a backslash or a control.
		for len(line)-i >= 8 {
			w := binary.LittleEndian.Uint64(line[i:])
			quote, slash := w^(lowBits*'"'), w^(lowBits*'\\')
			hit := ((w - lowBits*0x20) &^ w) | ((quote - lowBits) &^ quote) | ((slash - lowBits) &^ slash)
			if hit &= highBits; hit != 0 {
				i += bits.TrailingZeros64(hit) / 8
				break
			}
			i += 8
		}
		switch c := at(line, i); {
		case c == '"':
			return i, flags, nil
		case c == '\\':
			flags |= flagEscaped
			n, lone := escape(line[i:])
			if n == 0 {
				return 0, 0, &syntaxError{i, "an escape in a string is wrong"}
			}
			if lone {
				flags |= flagSurrogate
			}
			i += n
		case i >= len(line):
			return 0, 0, &syntaxError{i, "it ends within a string"}
		case c < 0x20:
			return 0, 0, &syntaxError{i, "a control character is in a string"}
		default:
			i++
		}
	}
}

// escape measures the escape, or pair of surrogate escapes, that s begins with; 0 is a
// wrong one. lone tells of a surrogate without its pair.
func escape(s []byte) (n int, lone bool) {
	switch at(s, 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, false
	case 'u':
		r, ok := hex4(s)
		if !ok {
			return 0, false
		}
		if r < 0xD800 || r > 0xDFFF {
			return 6, false
		}
		if r < 0xDC00 && at(s, 6) == '\\' && at(s, 7) == 'u' {
			if low, ok := hex4(s[6:]); ok && low >= 0xDC00 && low <= 0xDFFF {
				return 12, false
			}
		}
		return 6, true
	}
	return 0, false
}

// hex4 reads the four digits of the \uXXXX that s begins with.
func hex4(s []byte) (rune, bool) {
	if len(s) < 6 {
		return 0, false
	}
	var r rune
	for _, c := range s[2:6] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// text is what a string or key of the line says. It is the line's own memory unless there are
// escapes in it.
func (t *token) text(line []byte) []byte {
	raw := line[t.start:t.end]
	if t.flags&flagEscaped == 0 {
		return raw
	}
	return appendText(nil, raw)
}

// appendText appends the text of a string that a scan has passed. A lone surrogate
// becomes U+FFFD.
func appendText(to, s []byte) []byte {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(to, s...)
		}
		to = append(to, s[:i]...)
		n := 2
		switch c := s[i+1]; c {
		case 'b':
			to = append(to, '\b')
		case 'f':
			to = append(to, '\f')
		case 'n':
			to = append(to, '\n')
		case 'r':
			to = append(to, '\r')
		case 't':
			to = append(to, '\t')
		case 'u':
			var lone bool
			n, lone = escape(s[i:])
			r, _ := hex4(s[i:])
			if lone {
				r = utf8.RuneError
			} else if n == 12 {
				low, _ := hex4(s[i+6:])
				r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
			}
			to = utf8.AppendRune(to, r)
		default:
			to = append(to, c)
		}
		s = s[i+n:]
	}
}

// scanNumber returns the end of the number that begins at i (RFC 8259 6).
func scanNumber(line []byte, i int) (int, error) {
	start := i
	if at(line, i) == '-' {
		i++
	}
	if at(line, i) == '0' {
		i++
	} else if i = digits(line, i); i < 0 {
		return 0, &syntaxError{start, "a number is wrong"}
	}
	if at(line, i) == '.' {
		if i = digits(line, i+1); i < 0 {
			return 0, &syntaxError{start, "a number is wrong"}
		}
	}
	if at(line, i)|0x20 == 'e' {
		i++
		if c := at(line, i); c == '+' || c == '-' {
			i++
		}
		if i = digits(line, i); i < 0 {
			return 0, &syntaxError{start, "a number is wrong"}
		}
	}
	return i, nil
}

// digits returns the end of the digits from i on, -1 if there are none.
func digits(line []byte, i int) int {
	start := i
	for at(line, i)-'0' <= 9 {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// invalidUTF8 returns where a line stops to be UTF-8, -1 if nowhere.
func invalidUTF8(line []byte) int {
	if utf8.Valid(line) {
		return -1
	}
	for i := 0; ; {
		r, n := utf8.DecodeRune(line[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
}
