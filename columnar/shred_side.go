package columnar

import (
	"encoding/binary"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// sideColumns are the fields of a layout that the shredder fills itself.
type sideColumns struct {
	resourceType, residual                                                                *Field
	extension, path, modifier, parent, url, urls, typ, value, system, display, extensions *Field
	contained, containedType, containedID, containedJSON                                  *Field
	origin                                                                                originColumns
}

// originColumns are the fields of __origin.
type originColumns struct {
	origin, source, feed, run, file, line, transactionTime *Field

	last *Origin // of the previous row; nil if it is not known
}

func newOriginColumns(root *Field) originColumns {
	o := root.field("__origin")
	return originColumns{origin: o, source: o.field("source"), feed: o.field("feed"), run: o.field("run"), file: o.field("file"),
		line: o.field("line"), transactionTime: o.field("transactionTime")}
}

// put writes the open row's origin, if there is one. It uses scratch, and returns it.
func (c *originColumns) put(g *rowGroup, scratch []byte, o *Origin, number int64) []byte {
	if o == nil {
		return scratch
	}
	g.enter(c.origin)
	for _, v := range [...]struct {
		f    *Field
		text string
	}{{c.source, o.Source}, {c.feed, o.Feed}, {c.run, o.Run}, {c.file, o.File}, {c.transactionTime, o.TransactionTime}} {
		if v.text != "" && (o != c.last || !g.repeat(v.f)) {
			scratch = append(scratch[:0], v.text...)
			g.bytes(v.f, g.leaf(v.f), scratch)
		}
	}
	c.last = o
	scratch = binary.LittleEndian.AppendUint64(scratch[:0], uint64(number))
	g.bytes(c.line, g.leaf(c.line), scratch)
	return scratch
}

// field returns the field of that name directly below f, or nil.
func (f *Field) field(name string) *Field {
	for _, child := range f.Fields {
		if child.Name == name {
			return child
		}
	}
	return nil
}

// other takes members that have no column of their own, and values that are not what their column
// wants. The value is on the tape.
func (s *shredder) other(m *member) {
	switch m.to {
	case memberExtension:
		s.extensionArray(m.name, 0)
	case memberSibling:
		s.sibling(m, 0)
	case memberContained:
		s.containedArray(0)
	case memberType:
		t := &s.tape[0]
		if t.kind != tokenString || t.flags&flagSurrogate != 0 || string(s.unescape(t)) != s.rows.layout.ResourceType {
			s.whole = true
		}
	default:
		s.keep(m.name, -1, 0)
	}
}

// containedArray puts the array of contained resources at i into __contained. Anything but an
// array of one or more objects goes to __residual.
func (s *shredder) containedArray(i uint32) {
	if !s.objects(i) {
		s.keep("contained", -1, i)
		return
	}
	if s.rows.taken(s.side.contained) {
		s.whole = true
		return
	}
	end := s.tape[i].next
	i++
	for n := 0; i < end; n++ {
		t := &s.tape[i]
		s.rows.element(s.side.contained, n == 0, false)
		if v := s.memberText(i, "resourceType"); v != nil {
			s.put(s.side.containedType, v)
		}
		if v := s.memberText(i, "id"); v != nil {
			s.put(s.side.containedID, v)
		}
		s.put(s.side.containedJSON, s.raw(t))
		i = t.next
	}
}

// objects reports whether the value at i is an array of one or more objects and nothing else.
func (s *shredder) objects(i uint32) bool {
	t := &s.tape[i]
	if t.kind != tokenArray || i+1 == t.next {
		return false
	}
	for n := i + 1; n < t.next; n = s.tape[n].next {
		if s.tape[n].kind != tokenObject {
			return false
		}
	}
	return true
}

// keep puts the value at i of the tape into __residual, under the JSON pointer (RFC 6901) of the
// open struct's member of that name, or of that member's element n unless n is negative.
func (s *shredder) keep(name string, n int, i uint32) {
	if s.whole {
		return // the line is kept, with the value in it
	}
	pointer := s.scratch[:0]
	for _, p := range s.path {
		if pointer = appendPointer(pointer, p.name, -1); p.index >= 0 {
			pointer = appendPointer(pointer, "", p.index)
		}
	}
	pointer = appendPointer(pointer, name, -1)
	if n >= 0 {
		pointer = appendPointer(pointer, "", n)
	}
	s.scratch = pointer
	if len(s.residual) == 0 {
		s.residual = append(s.residual, '{')
	}
	// The pointer is valid UTF-8: a name's lone surrogates are U+FFFD by now, and such a line is
	// kept whole.
	s.residual, _ = jsontext.AppendQuote(s.residual, pointer)
	s.residual = append(s.residual, ':')
	s.residual = append(append(s.residual, s.raw(&s.tape[i])...), ',')
}

// appendPointer appends a step to a JSON pointer: the index, or the name if the index is negative.
func appendPointer(to []byte, name string, index int) []byte {
	to = append(to, '/')
	if index >= 0 {
		return strconv.AppendInt(to, int64(index), 10)
	}
	for i := range len(name) {
		switch c := name[i]; c {
		case '~':
			to = append(to, "~0"...)
		case '/':
			to = append(to, "~1"...)
		default:
			to = append(to, c)
		}
	}
	return to
}
