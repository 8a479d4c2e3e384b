package columnar

import "encoding/binary"

// list reads the array at i. What an element of another kind holds is kept in
// __residual, and its slot is null; a null is a null.
func (s *shredder) list(f *Field, i int) int {
	line := s.line
	if i = skipSpace(line, i+1); at(line, i) == ']' {
		s.rows.emptyList(f)
		return i + 1
	}
	s.depth++
	for n := 0; ; n++ {
		if f.role == roleStruct && at(line, i) == '{' {
			s.rows.element(f, n == 0, false)
			s.path = append(s.path, step{f.Name, n})
			i = s.nested(f, i)
			s.path = s.path[:len(s.path)-1]
		} else {
			i = s.element(f, n, i)
		}
		if i < 0 {
			return invalid
		}
		if at(line, i) <= ' ' {
			i = skipSpace(line, i)
		}
		switch at(line, i) {
		case ',':
			i = skipSpace(line, i+1)
		case ']':
			s.depth--
			return i + 1
		default:
			return invalid
		}
	}
}

// element reads the element at i, the n-th, of a list of leaves, or one that is of
// another kind than its list. R4 has no lists of booleans, nor of resources but contained.
func (s *shredder) element(f *Field, n, i int) int {
	first, c, column := n == 0, at(s.line, i), &s.rows.columns[max(f.column, 0)]
	switch f.role {
	case roleText:
		if c == '"' {
			if end := column.guessed(s.line, i+1); end > 0 {
				s.rows.element(f, first, false)
				s.rows.asGuessed(f, column)
				return end
			}
			t, end := s.notGuessed(column, i)
			if end > 0 {
				s.rows.element(f, first, false)
				s.rows.text(f, column, t)
			}
			return end
		}
	case roleDate:
		if c == '"' {
			t, end := s.string(i)
			if end > 0 {
				s.rows.element(f, first, false)
				s.rows.text(f, column, t)
				start, ok := startOf(t.bytes)
				s.companion(f.start, first, ok, func() []byte { return s.timestamp(start) })
			}
			return end
		}
	case roleInt, roleDecimal:
		if c == '-' || c-'0' <= 9 {
			return s.numberElement(f, column, n, i)
		}
	}
	return s.nullElement(f, n, i)
}

// numberElement is number for an element of a list.
func (s *shredder) numberElement(f *Field, column *column, n, i int) int {
	end, err := scanNumber(s.line, i)
	if err != nil {
		return invalid
	}
	lexeme := s.line[i:end]
	if f.role == roleInt {
		v, ok := int32Of(lexeme)
		if !ok {
			return s.nullElement(f, n, i)
		}
		s.rows.element(f, n == 0, false)
		s.scratch = binary.LittleEndian.AppendUint32(s.scratch[:0], uint32(v))
		s.rows.bytes(f, column, s.scratch)
		return end
	}
	v, fits, plain := decimalOf(lexeme)
	s.rows.element(f, n == 0, !fits)
	if fits {
		s.scratch = append(s.scratch[:0], v[:]...)
		s.rows.bytes(f, column, s.scratch)
	}
	s.companion(f.lexeme, n == 0, !plain, func() []byte { return lexeme })
	return end
}

// nullElement makes an element null, and keeps the value at i unless it is null itself.
func (s *shredder) nullElement(f *Field, n, i int) int {
	end := s.scan(i)
	if end < 0 {
		return invalid
	}
	s.rows.element(f, n == 0, true)
	for _, c := range [...]*Field{f.start, f.lexeme} {
		if c != nil {
			s.companion(c, n == 0, false, nil)
		}
	}
	if s.tape[0].kind != tokenNull {
		s.keep(f.Name, n, 0)
	}
	return end
}

// companion adds an element to the list beside a list of dates or decimals: a value, or
// null if it has none.
func (s *shredder) companion(f *Field, first, has bool, value func() []byte) {
	s.rows.element(f, first, !has)
	if has {
		s.rows.bytes(f, &s.rows.columns[f.column], value())
	}
}
