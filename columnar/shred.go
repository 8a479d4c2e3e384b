package columnar

// shredder reads resources straight into a row group's columns. Each value goes to one place: its
// column, __extension, __contained or __residual.
//
// What the layout has a place for is read in one pass over the line: a member's name is compared
// with the one that came there last time, and a text with its column's guess. Only the rest
// (extensions, contained resources, members without a column) is put on the scanner's tape first,
// value by value. An object that came before, byte for byte, is not read at all; see echoes.
//
// Methods that read the line return where to go on, or [invalid] if the line is not JSON. A
// value's index is that of its first byte.
//
// Whatever object and its callees do must be done to the row group, be detected by nested as
// aside, or be noted as opOnce. Otherwise it is lost when the object comes again: nested then
// replays what was noted instead of reading the object.
type shredder struct {
	line    []byte
	rows    *rowGroup
	side    sideColumns
	scanner scanner
	tape    []token // the scanner's, of the last value scanned

	path      []step   // from the root to the struct being read
	depth     int      // number of open arrays and objects
	elsewhere [][]byte // names of the open structs' members whose values went to no column
	residual  []byte   // the members of __residual so far, each followed by a comma
	whole     bool     // the line must be kept whole, in __residual
	// likely is, by stream and then by 1 + a member's index, the member that followed it last time.
	// At 0 is the member that came first.
	likely    [][]*member
	echoes    []echoes // by stream
	scratch   []byte
	names     []byte // unescaped names that elsewhere points to
	unescaped []byte // unescaped texts that are needed until the row is over

	id, version []byte // of the row's resource, nil if missing; valid until the next row
	extensions  extensionShredder
}

// invalid is what methods that read the line return if it is not JSON.
const invalid = -1

// step is a struct on the path from the root.
type step struct {
	name  string
	index int // of the element, -1 if it is not in a list
}

func newShredder(g *rowGroup) *shredder {
	root := g.layout.root
	e, c := root.field("__extension"), root.field("__contained")
	s := &shredder{rows: g, likely: make([][]*member, g.layout.streams), echoes: make([]echoes, g.layout.streams)}
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

// row adds a line, without white space around it, as a row. If the line is not a JSON object in
// UTF-8, row returns false and leaves the row group as it was; a scanner can tell why.
func (s *shredder) row(line []byte, o *Origin, number int64) bool {
	if isObject(line) != nil {
		return false
	}
	s.line = line
	s.path, s.depth, s.elsewhere, s.names = s.path[:0], 0, s.elsewhere[:0], s.names[:0]
	s.residual, s.whole, s.unescaped, s.id, s.version = s.residual[:0], false, s.unescaped[:0], nil, nil
	s.extensions.count, s.extensions.copied = 0, 0
	s.rows.beginRow()
	if !s.rows.repeat(s.side.resourceType) {
		s.putText(s.side.resourceType, s.rows.layout.ResourceType)
	}
	if s.object(s.rows.layout.root, 0) != len(line) {
		s.rows.undo()
		return false
	}
	switch {
	case s.whole:
		s.residual = append(append(append(s.residual[:0], `{"":`...), line...), '}')
		s.put(s.side.residual, s.residual)
	case len(s.residual) > 0:
		s.residual[len(s.residual)-1] = '}'
		s.put(s.side.residual, s.residual)
	}
	s.scratch = s.side.origin.put(s.rows, s.scratch, o, number)
	return true
}

// put sets a leaf that is not a list.
func (s *shredder) put(f *Field, v []byte) { s.rows.bytes(f, s.rows.leaf(f), v) }

func (s *shredder) putText(f *Field, v string) {
	s.scratch = append(s.scratch[:0], v...)
	s.put(f, s.scratch)
}

// object reads the object at i into the open slot of f, and returns the object's end.
func (s *shredder) object(f *Field, i int) int {
	line := s.line
	if i = skipSpace(line, i+1); at(line, i) == '}' {
		return i + 1
	}
	base, names := len(s.elsewhere), len(s.names)
	likely := s.likely[f.stream]
	if likely == nil {
		likely = make([]*member, len(f.members)+1)
		s.likely[f.stream] = likely
	}
	s.depth++
	next, furthest := int32(0), int32(0) // 1 + the index of the last known member, and 1 + the highest
	for {
		var name []byte
		m := likely[next]
		if m != nil && m.key.begins(line, i) {
			i += len(m.key.text)
		} else {
			if name, i = s.name(i); i < 0 {
				return invalid
			}
			if m = f.byName[string(name)]; m != nil {
				likely[next] = m
			}
		}
		if i < len(line) && line[i] <= ' ' {
			i = skipSpace(line, i)
		}
		switch {
		case m == nil:
			i = s.unknown(name, i, base)
		case m.index < furthest && s.cameBefore(m, base):
			s.whole = true // a duplicate name: the columns have the first
			i = s.scan(i)
		case m.to == memberText && at(line, i) == '"':
			_, i = s.text(m.field, only, i)
		default:
			i = s.known(m, i)
		}
		if i < 0 {
			return invalid
		}
		if m != nil {
			next = m.index + 1
			furthest = max(furthest, next)
		}
		if at(line, i) <= ' ' {
			i = skipSpace(line, i)
		}
		switch at(line, i) {
		case ',':
			if i++; at(line, i) != '"' {
				i = skipSpace(line, i)
			}
		case '}':
			s.elsewhere = s.elsewhere[:base] // as two statements, these write only the lengths: see push
			s.names = s.names[:names]
			s.depth--
			return i + 1
		default:
			return invalid
		}
	}
}

// known reads the value of a member that the layout knows and the open struct has not had yet.
func (s *shredder) known(m *member, i int) int {
	switch m.to {
	case memberID, memberVersion:
		if at(s.line, i) == '"' {
			return s.identity(m, i)
		}
	case memberLeaf:
		if end := s.value(m.field, only, i); end != 0 {
			return end
		}
	case memberColumns:
		if end := s.columns(m.field, i); end != 0 {
			return end
		}
	}
	end := s.scan(i)
	switch {
	case end < 0:
	case m.to != memberOpen:
		s.elsewhere = append(s.elsewhere, m.nameBytes)
		s.other(m)
	case s.rows.taken(m.field):
		s.whole = true // a second type of one open choice
	default:
		s.open(m)
	}
	return end
}

// unknown reads the value of a member that the layout does not know.
func (s *shredder) unknown(name []byte, i, base int) int {
	end := s.scan(i)
	switch {
	case end < 0:
	case s.isElsewhere(name, base):
		s.whole = true
	default:
		s.elsewhere = append(s.elsewhere, name)
		s.keep(string(name), -1, 0)
	}
	return end
}

// scan puts the value at i on the tape, with nothing else on it, and returns the value's end.
func (s *shredder) scan(i int) int {
	s.scanner.outer = s.depth
	end, err := s.scanner.scanValue(s.line, i)
	if err != nil {
		return invalid
	}
	s.tape = s.scanner.tape
	return end
}

// name reads a member's name and colon. The name is valid until its object ends.
func (s *shredder) name(i int) (name []byte, end int) {
	line := s.line
	if at(line, i) != '"' {
		return nil, invalid
	}
	end, flags, err := scanString(line, i+1)
	if err != nil {
		return nil, invalid
	}
	if name = line[i+1 : end]; flags != 0 {
		name = s.unescapeName(name, flags)
	}
	if end = skipSpace(line, end+1); at(line, end) != ':' {
		return nil, invalid
	}
	return name, end + 1
}

// unescapeName returns the text of a name that has escapes, valid until its object ends.
func (s *shredder) unescapeName(raw []byte, flags byte) []byte {
	if flags&flagSurrogate != 0 {
		s.whole = true
	}
	start := len(s.names)
	s.names = appendText(s.names, raw)
	return s.names[start:len(s.names):len(s.names)]
}

// cameBefore reports whether the open struct has already had a member of that name.
func (s *shredder) cameBefore(m *member, base int) bool {
	if m.hasColumn() && (s.rows.taken(m.field) || m.field.lexeme != nil && s.rows.taken(m.field.lexeme)) {
		return true
	}
	return s.isElsewhere(m.nameBytes, base)
}

// maxElsewhere is how many members without a column an object may have. A line with more of them
// in one object is kept whole, which avoids comparing each name with all others.
const maxElsewhere = 256

// isElsewhere reports whether a member of that name is in elsewhere, from base on. At maxElsewhere
// it stops looking, and has the line kept whole.
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
