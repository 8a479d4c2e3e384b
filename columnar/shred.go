package columnar

// shredder takes scanned resources apart into a row group's columns. Each value goes
// to one place: its column, __extension, __contained or __residual.
type shredder struct {
	line []byte
	tape []token
	rows *rowGroup
	side sideColumns

	path      []step   // down to the struct that is being read
	elsewhere [][]byte // names of the open structs' members that are in no column of theirs
	residual  []byte   // the members of __residual so far, each with a comma behind it
	whole     bool     // the line can only be kept as it is
	likely    [][]int  // by stream and member: which member came next the last time
	text      []byte   // scratch
	names     []byte   // unescaped names, which elsewhere points to
	unescaped []byte   // texts of the row that are needed longer than the next one

	extensions extensionShredder
}

// step is a name or, in a list, an index on the way down from the root.
type step struct {
	name  string
	index int // -1 for a name
}

func newShredder(g *rowGroup) *shredder {
	root := g.layout.root
	e, c := root.field("__extension"), root.field("__contained")
	s := &shredder{rows: g, likely: make([][]int, g.layout.streams)}
	s.side = sideColumns{
		resourceType: root.Fields[0], residual: root.field("__residual"),
		extension: e, path: e.field("path"), modifier: e.field("modifier"), parent: e.field("parent"),
		url: e.field("url"), urls: e.field("urls"), typ: e.field("type"), value: e.field("value"),
		system: e.field("system"), display: e.field("display"), extensions: e.field("json"),
		contained: c, containedType: c.field("resourceType"), containedID: c.field("id"), containedJSON: c.field("json"),
		origin: newOriginColumns(root),
	}
	return s
}

// row adds a scanned line as a row. It cannot fail.
func (s *shredder) row(line []byte, tape []token, o *Origin, number int64) {
	s.line, s.tape = line, tape
	s.path, s.residual, s.whole, s.names = s.path[:0], s.residual[:0], false, s.names[:0]
	s.extensions.count, s.unescaped = 0, s.unescaped[:0]
	s.rows.beginRow()
	s.putText(s.side.resourceType, s.rows.layout.ResourceType)
	s.object(0, s.rows.layout.root)
	switch {
	case s.whole:
		s.residual = append(append(append(s.residual[:0], `{"":`...), line...), '}')
		s.put(s.side.residual, s.residual)
	case len(s.residual) > 0:
		s.residual[len(s.residual)-1] = '}'
		s.put(s.side.residual, s.residual)
	}
	s.text = s.side.origin.put(s.rows, s.text, o, number)
}

// put sets a leaf that is not a list.
func (s *shredder) put(f *Field, v []byte) { s.rows.bytes(f, s.rows.leaf(f), v) }

func (s *shredder) putText(f *Field, v string) {
	s.text = append(s.text[:0], v...)
	s.put(f, s.text)
}

// object reads the object at tape index i into the open slot of f.
func (s *shredder) object(i uint32, f *Field) {
	base, names := len(s.elsewhere), len(s.names)
	end := s.tape[i].next
	last := -1
	for i++; i < end; {
		key, value := &s.tape[i], i+1
		i = s.tape[value].next
		name := s.name(key)
		if len(s.elsewhere) > base && s.isElsewhere(name, base) {
			s.whole = true // a name twice: the columns have the first
			continue
		}
		at := s.find(f, name, last)
		if at >= 0 {
			last = at
			m := &f.members[at]
			if m.to == memberColumn || m.to == memberOpen {
				if s.rows.taken(m.field) || m.field.lexeme != nil && s.rows.taken(m.field.lexeme) {
					s.whole = true // as above, or two types of one open choice
					continue
				}
				if s.column(m, value) {
					continue
				}
			}
			s.elsewhere = append(s.elsewhere, name)
			s.other(m, value)
			continue
		}
		s.elsewhere = append(s.elsewhere, name)
		s.keep(string(name), -1, value)
	}
	s.elsewhere, s.names = s.elsewhere[:base], s.names[:names]
}

// name is a key's text, good until its object ends.
func (s *shredder) name(key *token) []byte {
	raw := s.line[key.start:key.end]
	if key.flags == 0 {
		return raw
	}
	if key.flags&flagSurrogate != 0 {
		s.whole = true
	}
	start := len(s.names)
	s.names = appendText(s.names, raw)
	return s.names[start:len(s.names):len(s.names)]
}

// maxElsewhere is how many members without a column an object may have. A line with
// more of them in one object is kept whole, which spares comparing all with all.
const maxElsewhere = 256

func (s *shredder) isElsewhere(name []byte, base int) bool {
	if len(s.elsewhere)-base >= maxElsewhere {
		s.whole = true
		return false
	}
	for _, n := range s.elsewhere[base:] {
		if string(n) == string(name) {
			return true
		}
	}
	return false
}

// find returns the index of a member, -1 for an unknown name. Resources of a type
// mostly have the same members in the same order, so the one that came after the last
// member before is tried first.
func (s *shredder) find(f *Field, name []byte, last int) int {
	likely := s.likely[f.stream]
	if likely == nil {
		likely = make([]int, len(f.members)+1)
		s.likely[f.stream] = likely
	}
	if at := likely[last+1]; at < len(f.members) && f.members[at].name == string(name) {
		return at
	}
	at, ok := f.byName[string(name)]
	if !ok {
		return -1
	}
	likely[last+1] = at
	return at
}

// column puts the value at tape index i into its column, or returns false if it has
// none there: it is not of the column's type.
func (s *shredder) column(m *member, i uint32) bool {
	f, t := m.field, &s.tape[i]
	switch {
	case m.to == memberOpen:
		s.open(m, i)
		return true
	case f.List:
		if t.kind != tokenArray {
			return false
		}
		s.list(f, i)
		return true
	case f.role == roleStruct:
		if t.kind != tokenObject {
			return false
		}
		s.rows.enter(f)
		s.path = append(s.path, step{f.Name, -1})
		s.object(i, f)
		s.path = s.path[:len(s.path)-1]
		return true
	case f.role == roleJSON:
		s.put(f, s.raw(t))
		return true
	}
	v, ok := s.scalar(f, t)
	if !ok {
		return false
	}
	if f.role == roleDecimal {
		s.decimal(f, t)
		return true
	}
	c := s.rows.leaf(f)
	if f.role == roleBoolean {
		c.bool(t.kind == tokenTrue)
		return true
	}
	s.rows.bytes(f, c, v)
	if f.role == roleDate {
		if start, ok := startOf(v); ok {
			s.put(f.start, s.timestamp(start))
		}
	}
	return true
}
