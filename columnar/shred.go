package columnar

// shredder reads resources straight into a row group's columns. Each value goes to one
// place: its column, __extension, __contained or __residual.
//
// What the layout has a place for is read in one pass over the line: a member's name is
// compared with the one that came there the last time, and a text with the one that its
// column guesses. Only the rest (extensions, contained resources, what has no column)
// is put on the scanner's tape first, value by value. An object that came before, byte for
// byte, is not read at all; see echoes.
//
// What reads the line returns where it goes on, [invalid] if the line is not JSON. A
// value's index is that of its first byte.
//
// What object and all that it calls do must be done to the row group, show in aside (see
// nested), or be noted as opOnce: else it is missing where an object came before.
type shredder struct {
	line    []byte
	rows    *rowGroup
	side    sideColumns
	scanner scanner
	tape    []token // the scanner's, of the value that was scanned last

	path      []step      // down to the struct that is being read
	depth     int         // how many arrays and objects are open
	elsewhere [][]byte    // names of the open structs' members that are in no column of theirs
	residual  []byte      // the members of __residual so far, each with a comma behind it
	whole     bool        // the line can only be kept as it is
	likely    [][]*member // by stream and member: which member came next the last time
	echoes    []echoes    // by stream
	scratch   []byte
	names     []byte // unescaped names, which elsewhere points to
	unescaped []byte // texts of the row that are needed longer than the next one

	id, version []byte // of the row's resource, nil where there is none; good until the next row
	extensions  extensionShredder
}

// invalid is the place behind what is not JSON.
const invalid = -1

// step is a struct on the way down from the root.
type step struct {
	name  string
	index int // of the element, -1 if it is no list
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

// row adds a line, without white space around it, as a row. If it is not a JSON object
// in UTF-8, row returns false, and the row group is as before; why, a scanner tells.
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

// object reads the object at i into the open slot of f.
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
	next, most := int32(0), int32(0) // behind the last member that has a place, and behind the furthest
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
		case m.index < most && s.cameBefore(m, base):
			s.whole = true // a name twice: the columns have the first
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
			most = max(most, next)
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
			s.elsewhere = s.elsewhere[:base] // in two lines, only lengths are written: see push
			s.names = s.names[:names]
			s.depth--
			return i + 1
		default:
			return invalid
		}
	}
}

// known reads the value of a member of the open struct that has not come before.
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
		s.whole = true // two types of one open choice
	default:
		s.open(m)
	}
	return end
}

// unknown reads the value of a member that no layout knows.
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

// scan puts the value at i on the tape, alone.
func (s *shredder) scan(i int) int {
	s.scanner.outer = s.depth
	end, err := s.scanner.scanValue(s.line, i)
	if err != nil {
		return invalid
	}
	s.tape = s.scanner.tape
	return end
}

// name reads the name of a member and its colon. It is good until its object ends.
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
		if flags&flagSurrogate != 0 {
			s.whole = true
		}
		start := len(s.names)
		s.names = appendText(s.names, name)
		name = s.names[start:len(s.names):len(s.names)]
	}
	if end = skipSpace(line, end+1); at(line, end) != ':' {
		return nil, invalid
	}
	return name, end + 1
}

// cameBefore says whether the open struct has had a member of that name already.
func (s *shredder) cameBefore(m *member, base int) bool {
	if m.hasColumn() && (s.rows.taken(m.field) || m.field.lexeme != nil && s.rows.taken(m.field.lexeme)) {
		return true
	}
	return s.isElsewhere(m.nameBytes, base)
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
