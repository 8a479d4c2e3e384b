package columnar

import (
	"encoding/binary"
)

// scalar is the encoded form of a value as a column's role has it, good until the next
// call; ok is false for a value of another kind. Decimals and booleans have none.
func (s *shredder) scalar(f *Field, t *token) (v []byte, ok bool) {
	switch f.role {
	case roleText, roleDate:
		if t.kind != tokenString {
			return nil, false
		}
		return s.string(t), true
	case roleBoolean:
		return nil, t.kind == tokenTrue || t.kind == tokenFalse
	case roleDecimal:
		return nil, t.kind == tokenNumber
	case roleInt:
		if t.kind != tokenNumber {
			return nil, false
		}
		n, ok := int32Of(s.line[t.start:t.end])
		s.text = binary.LittleEndian.AppendUint32(s.text[:0], uint32(n))
		return s.text, ok
	}
	return nil, false
}

// string is a string's text, good until the next call.
func (s *shredder) string(t *token) []byte {
	raw := s.line[t.start:t.end]
	if t.flags == 0 {
		return raw
	}
	if t.flags&flagSurrogate != 0 {
		s.whole = true // U+FFFD stands in the column
	}
	s.text = appendText(s.text[:0], raw)
	return s.text
}

// raw is a value as it stands in the line.
func (s *shredder) raw(t *token) []byte { return valueOf(s.line, t) }

func (s *shredder) timestamp(micros int64) []byte {
	s.text = binary.LittleEndian.AppendUint64(s.text[:0], uint64(micros))
	return s.text
}

// decimal sets a decimal's column, unless it is too large for it, and its lexeme,
// unless the column prints it back.
func (s *shredder) decimal(f *Field, t *token) {
	lexeme := s.line[t.start:t.end]
	v, fits, plain := decimalOf(lexeme)
	if fits {
		s.put(f, v[:])
	}
	if !plain {
		s.put(f.lexeme, lexeme)
	}
}

// list reads an array. What an element of another kind holds is kept in __residual,
// and its slot is null; a null is a null.
func (s *shredder) list(f *Field, i uint32) {
	end := s.tape[i].next
	companion := f.start
	if f.lexeme != nil {
		companion = f.lexeme
	}
	if i++; i == end {
		s.rows.emptyList(f)
		return
	}
	for n := 0; i < end; n++ {
		t := &s.tape[i]
		if f.role == roleStruct {
			if t.kind == tokenObject {
				s.rows.element(f, n == 0, false)
				s.path = append(s.path, step{f.Name, -1}, step{"", n})
				s.object(i, f)
				s.path = s.path[:len(s.path)-2]
			} else {
				s.nullElement(f, n, i)
			}
			i = t.next
			continue
		}
		if companion != nil {
			s.companion(f, companion, n, t)
		}
		v, ok := s.scalar(f, t)
		switch {
		case f.role == roleJSON:
			s.rows.element(f, n == 0, false)
			s.rows.bytes(f, &s.rows.columns[f.column], s.raw(t))
		case !ok:
			s.nullElement(f, n, i)
		case f.role == roleDecimal:
			v, fits, _ := decimalOf(s.line[t.start:t.end])
			s.rows.element(f, n == 0, !fits)
			if fits {
				s.rows.bytes(f, &s.rows.columns[f.column], v[:])
			}
		case f.role == roleBoolean:
			s.rows.element(f, n == 0, false)
			s.rows.columns[f.column].bool(t.kind == tokenTrue)
		default:
			s.rows.element(f, n == 0, false)
			s.rows.bytes(f, &s.rows.columns[f.column], v)
		}
		i = t.next
	}
}

func (s *shredder) nullElement(f *Field, n int, i uint32) {
	s.rows.element(f, n == 0, true)
	if s.tape[i].kind != tokenNull {
		s.keep(f.Name, n, i)
	}
}

// companion adds an element to the list beside a list of dates or decimals.
func (s *shredder) companion(f, companion *Field, n int, t *token) {
	var v []byte
	if val, ok := s.scalar(f, t); ok && f.role == roleDate {
		if start, ok := startOf(val); ok {
			v = s.timestamp(start)
		}
	} else if ok {
		if _, _, plain := decimalOf(s.line[t.start:t.end]); !plain {
			v = s.line[t.start:t.end]
		}
	}
	s.rows.element(companion, n == 0, v == nil)
	if v != nil {
		s.rows.bytes(companion, &s.rows.columns[companion.column], v)
	}
}

// open puts a value of an open choice into its struct {type, value, json}.
func (s *shredder) open(m *member, i uint32) {
	f := m.field
	s.rows.enter(f)
	s.putText(f.Fields[0], m.typ)
	if v := s.project(i).value; v != nil {
		s.put(f.Fields[1], v)
	}
	s.put(f.Fields[2], s.raw(&s.tape[i]))
}
