package columnar

import (
	"encoding/binary"
	"strconv"
)

// extensionShredder is a shredder's state for the extensions of its row.
type extensionShredder struct {
	count  int      // in the row so far
	copied int      // bytes of paths and urls written for them
	path   []byte   // of the element whose extensions are being read
	urls   [][]byte // of the open extensions, outermost first; nil for one without
}

// extensionArray puts the array at i, the extension or modifierExtension of the open struct, into
// __extension. Anything but an array of one or more objects goes to __residual.
func (s *shredder) extensionArray(name string, i uint32) {
	if !s.objects(i) {
		s.keep(name, -1, i)
		return
	}
	s.extensions.path = s.appendPath(s.extensions.path[:0])
	s.extensionsOf(name == "modifierExtension", -1, i)
}

// appendPath appends the open struct's path in the notation of __extension: address[0].period.
func (s *shredder) appendPath(to []byte) []byte {
	for _, p := range s.path {
		if len(to) > 0 {
			to = append(to, '.')
		}
		if to = append(to, p.name...); p.index >= 0 {
			to = append(strconv.AppendInt(append(to, '['), int64(p.index), 10), ']')
		}
	}
	return to
}

// sibling reads a "_x": the extensions of the primitive x go to __extension, all else goes to
// __residual. Nulls that only hold a place in a list are implied by the places of the other
// elements; only a null at the end is kept.
func (s *shredder) sibling(m *member, i uint32) {
	t := &s.tape[i]
	switch {
	case !m.list && t.kind == tokenObject && i+1 < t.next:
		s.path = append(s.path, step{m.name, -1})
		s.siblingObject(i)
		s.path = s.path[:len(s.path)-1]
	case m.list && t.kind == tokenArray && i+1 < t.next:
		end := t.next
		i++
		for n := 0; i < end; n++ {
			t := &s.tape[i]
			switch {
			case t.kind == tokenObject && i+1 < t.next:
				s.path = append(s.path, step{m.name, n})
				s.siblingObject(i)
				s.path = s.path[:len(s.path)-1]
			case t.kind != tokenNull || t.next == end:
				s.keep(m.name, n, i)
			}
			i = t.next
		}
	default:
		s.keep(m.name, -1, i)
	}
}

// siblingObject reads the object at i, a "_x" or an element of one. s.path ends with it.
func (s *shredder) siblingObject(i uint32) {
	base, names := len(s.elsewhere), len(s.names)
	end := s.tape[i].next
	for i++; i < end; {
		value := i + 1
		name := s.key(&s.tape[i])
		i = s.tape[value].next
		if s.isElsewhere(name, base) {
			s.whole = true
			continue
		}
		s.elsewhere = append(s.elsewhere, name)
		if string(name) == "extension" || string(name) == "modifierExtension" {
			s.extensionArray(string(name), value)
		} else {
			s.keep(string(name), -1, value)
		}
	}
	s.elsewhere, s.names = s.elsewhere[:base], s.names[:names]
}

// key returns a key's text, valid until its object ends.
func (s *shredder) key(key *token) []byte {
	raw := s.line[key.start:key.end]
	if key.flags == 0 {
		return raw
	}
	return s.unescapeName(raw, key.flags)
}

// extensionsOf adds the extensions of the array at i and all extensions within them, each before
// those within it. parent is the index of the extension around them, -1 if there is none.
func (s *shredder) extensionsOf(modifier bool, parent int, i uint32) {
	end := s.tape[i].next
	for i++; i < end; i = s.tape[i].next {
		if s.tape[i].kind == tokenObject {
			s.extension(modifier, parent, i)
		}
	}
}

// Each extension repeats the path, and the urls of those around it. Nesting them deep, or many in
// one with a long url, would make columns many times as large as the line.
const (
	// maxURLs limits the urls of an extension. The outermost come first.
	maxURLs = 16
	// A row's extensions may repeat maxCopies times the size of the line, plus minCopies bytes. A
	// line with more is kept whole, and the rest of its extensions only there.
	maxCopies = 4
	minCopies = 1 << 20
)

// extension adds the extension at i and those within it; see extensionsOf.
func (s *shredder) extension(modifier bool, parent int, i uint32) {
	side, e := &s.side, &s.extensions
	if e.copied > maxCopies*len(s.line)+minCopies {
		s.whole = true
		return
	}
	index := e.count
	e.count++
	s.rows.element(side.extension, index == 0, false)
	s.put(side.path, e.path)
	e.copied += len(e.path)
	s.rows.bool(side.modifier, s.rows.leaf(side.modifier), modifier)
	if parent >= 0 {
		s.put(side.parent, binary.LittleEndian.AppendUint32(s.scratch[:0], uint32(parent)))
	}
	url := s.memberText(i, "url")
	if url != nil {
		s.put(side.url, url)
	}
	e.urls = append(e.urls, url)
	for n, u := range e.urls[:min(len(e.urls), maxURLs)] {
		s.rows.element(side.urls, n == 0, u == nil)
		if u != nil {
			s.rows.bytes(side.urls, &s.rows.columns[side.urls.column], u)
			e.copied += len(u)
		}
	}
	s.extensionValue(i)
	if parent < 0 {
		s.put(side.extensions, s.raw(&s.tape[i]))
	}
	s.within(i, index)
	e.urls = e.urls[:len(e.urls)-1]
}

// within adds the extensions that are in the value at i, at any depth.
func (s *shredder) within(i uint32, parent int) {
	object, end := s.tape[i].kind == tokenObject, s.tape[i].next
	for i++; i < end; i = s.tape[i].next {
		var name []byte
		if object {
			name = s.unescape(&s.tape[i])
			i++
		}
		switch kind := s.tape[i].kind; {
		case kind == tokenArray && (string(name) == "extension" || string(name) == "modifierExtension"):
			s.extensionsOf(string(name) == "modifierExtension", parent, i)
		case kind == tokenObject || kind == tokenArray:
			s.within(i, parent)
		}
	}
}

// extensionValue sets the columns of an extension's value[x].
func (s *shredder) extensionValue(i uint32) {
	end := s.tape[i].next
	for i++; i < end; {
		name := s.unescape(&s.tape[i])
		value := i + 1
		i = s.tape[value].next
		if len(name) <= len("value") || string(name[:5]) != "value" || name[5] < 'A' || name[5] > 'Z' {
			continue
		}
		s.put(s.side.typ, s.typeNamed(name[5:]))
		p := s.project(value)
		for _, c := range []struct {
			f *Field
			v []byte
		}{{s.side.value, p.value}, {s.side.system, p.system}, {s.side.display, p.display}} {
			if c.v != nil {
				s.put(c.f, c.v)
			}
		}
		return
	}
}

// typeNamed returns the type that a choice's name ends with. Primitive types begin with a
// lowercase letter.
func (s *shredder) typeNamed(suffix []byte) []byte {
	switch string(suffix) {
	case "Base64Binary", "Boolean", "Canonical", "Code", "Date", "DateTime", "Decimal", "Id", "Instant", "Integer", "Markdown",
		"Oid", "PositiveInt", "String", "Time", "UnsignedInt", "Uri", "Url", "Uuid":
		s.scratch = append(s.scratch[:0], suffix...)
		s.scratch[0] |= 0x20
		return s.scratch
	}
	return suffix
}

// projection is the short form of a value.
type projection struct{ value, system, display []byte }

// project returns the projection of the value at i: a primitive itself; a Coding's code, system
// and display, and those of a CodeableConcept's first coding, or its text; a Quantity's value,
// system and code or unit; a Money's value and currency; an Identifier's value and system; a
// Reference's reference and display. A Quantity without a value is taken for a Coding:
// docs/layout.md says so, and the layout does not change.
func (s *shredder) project(i uint32) projection {
	t := &s.tape[i]
	switch t.kind {
	case tokenObject:
	case tokenArray, tokenNull:
		return projection{}
	case tokenString:
		return projection{value: s.unescape(t)}
	default:
		return projection{value: s.raw(t)}
	}
	first := func(at uint32, names ...string) []byte {
		for _, n := range names {
			if v := s.memberText(at, n); v != nil {
				return v
			}
		}
		return nil
	}
	if coding, ok := s.member(i, "coding"); ok {
		if s.objects(coding) {
			p := s.project(coding + 1)
			if p.display == nil {
				p.display = first(i, "text")
			}
			return p
		}
	}
	if v := first(i, "value"); v != nil {
		return projection{value: v, system: first(i, "system"), display: first(i, "code", "unit", "currency")}
	}
	return projection{value: first(i, "code", "reference", "text"), system: first(i, "system"), display: first(i, "display")}
}

// member finds the first member of that name in the object at i.
func (s *shredder) member(i uint32, name string) (value uint32, ok bool) {
	end := s.tape[i].next
	for i++; i < end; i = s.tape[i+1].next {
		if string(s.unescape(&s.tape[i])) == name {
			return i + 1, true
		}
	}
	return 0, false
}

// memberText returns the text of a member of the object at i, or the lexeme of a number or
// boolean; nil if there is none. It is valid until the row is over.
func (s *shredder) memberText(i uint32, name string) []byte {
	v, ok := s.member(i, name)
	if !ok {
		return nil
	}
	switch t := &s.tape[v]; t.kind {
	case tokenString:
		return s.unescape(t)
	case tokenNumber, tokenTrue, tokenFalse:
		return s.raw(t)
	}
	return nil
}

// unescape returns the text of a string or a key, valid until the row is over.
func (s *shredder) unescape(t *token) []byte {
	raw := s.line[t.start:t.end]
	if t.flags == 0 {
		return raw
	}
	start := len(s.unescaped)
	s.unescaped = appendText(s.unescaped, raw)
	return s.unescaped[start:len(s.unescaped):len(s.unescaped)]
}
