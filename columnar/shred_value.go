package columnar

import "encoding/binary"

// columns reads the value at i into a list or struct of the open struct. If the value is not of
// the field's type, it does nothing and returns 0.
func (s *shredder) columns(f *Field, i int) int {
	switch c := at(s.line, i); {
	case f.List && c == '[':
		return s.list(f, i)
	case !f.List && c == '{':
		s.rows.enter(f)
		s.path = append(s.path, step{f.Name, -1})
		i = s.nested(f, i)
		s.path = s.path[:len(s.path)-1]
		return i
	}
	return 0
}

// only stands for the element number of a value that is not in a list.
const only = -1

// value reads the value at i into the leaf f, as the n-th element or as the only value. It returns
// 0 in the same case as columns.
func (s *shredder) value(f *Field, n, i int) int {
	switch c := at(s.line, i); f.role {
	case roleText:
		if c == '"' {
			_, end := s.text(f, n, i)
			return end
		}
	case roleDate:
		if c == '"' {
			date, end := s.text(f, n, i)
			if end > 0 {
				s.start(f, n, date)
			}
			return end
		}
	case roleInt, roleDecimal:
		if c == '-' || c-'0' <= 9 {
			return s.number(f, n, i)
		}
	case roleBoolean:
		v, end := s.boolean(i)
		if end > 0 {
			s.slot(f, n)
			s.rows.bool(f, &s.rows.columns[f.column], v)
		}
		return end
	case roleJSON:
		end := s.scan(i)
		if end > 0 {
			s.set(f, n, s.raw(&s.tape[0]))
		}
		return end
	}
	return 0
}

// slot opens a slot of a leaf, for a value that the caller adds next.
func (s *shredder) slot(f *Field, n int) {
	if n == only {
		s.rows.leaf(f)
	} else {
		s.rows.element(f, n == 0, false)
	}
}

// set gives a leaf a value. If v is nil, the leaf gets none, and as an element it becomes null.
func (s *shredder) set(f *Field, n int, v []byte) {
	switch {
	case v != nil:
		s.slot(f, n)
		s.rows.bytes(f, &s.rows.columns[f.column], v)
	case n != only:
		s.rows.element(f, n == 0, true)
	}
}

// text reads the string at i into a leaf. v is valid until the row is over.
func (s *shredder) text(f *Field, n, i int) (v []byte, end int) {
	c := &s.rows.columns[f.column]
	if end := c.matchGuess(s.line, i+1); end > 0 {
		s.slot(f, n)
		s.rows.addGuessed(f, c)
		return s.line[i+1 : end-1], end
	}
	t, end := s.string(i)
	t.missed = c.guess != nil
	if end > 0 {
		s.slot(f, n)
		s.rows.text(f, c, t)
	}
	return t.bytes, end
}

// start adds the start of the date that text has just added to f.
func (s *shredder) start(f *Field, n int, date []byte) {
	c := &s.rows.columns[f.column]
	if at, ok := c.knownStart(s.rows.epoch); ok {
		s.slot(f.start, n)
		s.rows.addKnownIndex(f.start, &s.rows.columns[f.start.column], at)
	} else if start, ok := startOf(date); ok {
		s.set(f.start, n, s.timestamp(start))
		c.learnStart(s.rows.epoch, &s.rows.columns[f.start.column])
	} else {
		s.set(f.start, n, nil)
	}
}

// identity is text for what tells resources apart: the id and the versionId, which it also keeps.
func (s *shredder) identity(m *member, i int) int {
	t, end := s.string(i)
	if end < 0 {
		return invalid
	}
	s.rows.leaf(m.field)
	s.rows.text(m.field, &s.rows.columns[m.field.column], t)
	if m.to == memberID {
		s.id = t.bytes
	} else {
		s.version = t.bytes
		s.rows.note(m.field, opOnce, 0) // a replay would not set s.version
	}
	return end
}

// number reads the number at i into an integer's or decimal's leaf, as far as it fits. For an
// integer's, it returns 0 if the number is not written as an integer is.
func (s *shredder) number(f *Field, n, i int) int {
	end, err := scanNumber(s.line, i)
	if err != nil {
		return invalid
	}
	lexeme := s.line[i:end]
	if f.role == roleInt {
		v, ok := int32Of(lexeme)
		if !ok {
			return 0
		}
		s.scratch = binary.LittleEndian.AppendUint32(s.scratch[:0], uint32(v))
		s.set(f, n, s.scratch)
		return end
	}
	v, fits, plain := decimalOf(lexeme)
	if fits {
		s.scratch = append(s.scratch[:0], v[:]...)
		s.set(f, n, s.scratch)
	} else {
		s.set(f, n, nil)
	}
	if plain {
		lexeme = nil
	}
	s.set(f.lexeme, n, lexeme)
	return end
}

// boolean reads true or false at i; end is 0 for anything else.
func (s *shredder) boolean(i int) (v bool, end int) {
	switch rest := s.line[min(i, len(s.line)):]; {
	case len(rest) >= 4 && string(rest[:4]) == "true":
		return true, i + 4
	case len(rest) >= 5 && string(rest[:5]) == "false":
		return false, i + 5
	}
	return false, 0
}

// string reads the string at i. t.bytes is valid until the row is over.
func (s *shredder) string(i int) (t scannedText, end int) {
	line := s.line
	i++
	end, flags, err := scanString(line, i)
	if err != nil {
		return scannedText{}, invalid
	}
	raw := line[i:end:end]
	if flags == 0 {
		return scannedText{bytes: raw, asIs: true}, end + 1
	}
	if flags&flagSurrogate != 0 {
		s.whole = true // the column has U+FFFD instead
	}
	start := len(s.unescaped)
	s.unescaped = appendText(s.unescaped, raw)
	return scannedText{bytes: s.unescaped[start:len(s.unescaped):len(s.unescaped)]}, end + 1
}

// raw returns a value as it is written in the line.
func (s *shredder) raw(t *token) []byte { return valueOf(s.line, t) }

// timestamp encodes a TIMESTAMP, in the scratch space.
func (s *shredder) timestamp(micros int64) []byte {
	s.scratch = binary.LittleEndian.AppendUint64(s.scratch[:0], uint64(micros))
	return s.scratch
}

// open puts the value on the tape into an open choice's struct {type, value, json}.
func (s *shredder) open(m *member) {
	f := m.field
	s.rows.enter(f)
	s.putText(f.Fields[0], m.typ)
	if v := s.project(0).value; v != nil {
		s.put(f.Fields[1], v)
	}
	s.put(f.Fields[2], s.raw(&s.tape[0]))
}
