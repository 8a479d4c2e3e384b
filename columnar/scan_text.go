package columnar

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// scanString returns the index of the closing quote of a string whose text begins at i.
func scanString(line []byte, i int) (end int, flags byte, err error) {
	for {
		// Eight bytes at a time, up to a quote, a backslash or a control character.
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
				return 0, 0, &syntaxError{i, "a string has an invalid escape"}
			}
			if lone {
				flags |= flagSurrogate
			}
			i += n
		case i >= len(line):
			return 0, 0, &syntaxError{i, "it ends within a string"}
		case c < 0x20:
			return 0, 0, &syntaxError{i, "a string has a control character"}
		default:
			i++
		}
	}
}

// escape measures the escape, or pair of surrogate escapes, that s begins with; n is 0 for an
// invalid one. lone reports a surrogate without its pair.
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

// hex4 parses the four digits of the \uXXXX that s begins with.
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

// escaped returns the code unit of the \uXXXX that s begins with, which must be valid.
func escaped(s []byte) (r rune) {
	for _, c := range s[2:6] {
		r = r<<4 | rune(c&0xf+9*(c>>6)) // letters start at 0x41 and 0x61
	}
	return r
}

// text returns the text of a string or key. It is the line's own memory unless it has escapes.
func (t *token) text(line []byte) []byte {
	raw := line[t.start:t.end]
	if t.flags&flagEscaped == 0 {
		return raw
	}
	return appendText(nil, raw)
}

// appendText appends the text of a string that has passed a scan. A lone surrogate becomes U+FFFD.
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
			r := escaped(s[i:])
			if n = 6; r >= 0xD800 && r <= 0xDFFF {
				var lone bool
				if n, lone = escape(s[i:]); lone {
					r = utf8.RuneError
				} else {
					r = (r-0xD800)<<10 | (escaped(s[i+6:]) - 0xDC00) + 0x10000
				}
			}
			to = utf8.AppendRune(to, r)
		default:
			to = append(to, c)
		}
		s = s[i+n:]
	}
}

// scanNumber returns the end of the number that begins at i (RFC 8259, section 6).
func scanNumber(line []byte, i int) (int, error) {
	start := i
	if at(line, i) == '-' {
		i++
	}
	if at(line, i) == '0' {
		i++
	} else if i = digits(line, i); i < 0 {
		return 0, &syntaxError{start, "a number is invalid"}
	}
	if at(line, i) == '.' {
		if i = digits(line, i+1); i < 0 {
			return 0, &syntaxError{start, "a number is invalid"}
		}
	}
	if at(line, i)|0x20 == 'e' {
		i++
		if c := at(line, i); c == '+' || c == '-' {
			i++
		}
		if i = digits(line, i); i < 0 {
			return 0, &syntaxError{start, "a number is invalid"}
		}
	}
	return i, nil
}

// digits returns the end of the digits from i on, or -1 if there are none.
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

// invalidUTF8 returns where a line stops being valid UTF-8, or -1 if it is valid.
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
