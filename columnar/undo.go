package columnar

import "encoding/binary"

// undo takes back what the open row has put into the columns and their dictionaries. What is
// written is then as if the row had never been, except that a column that has given up its
// dictionary stays without it. undo looks at every field below the structs that the row has
// reached, and at the values that their columns got since the last undo: it is meant for lines
// that turn out not to be JSON halfway through.
func (g *rowGroup) undo() {
	g.rows--
	root := &g.streams[g.layout.root.stream]
	root.def, root.rep, root.seen = root.def[:g.rows], root.rep[:g.rows], g.rows
	g.undoFields(g.layout.root)
	g.marks = g.marks[:0]
	g.epoch++
}

// undoFields undoes the fields of a struct whose own slots are already undone.
func (g *rowGroup) undoFields(f *Field) {
	slots := g.slots(f)
	for _, child := range f.Fields {
		if child.stream < 0 {
			if c := &g.columns[child.column]; len(c.def) > slots {
				values := present(c.def[slots:], child.def)
				c.def = c.def[:slots]
				c.undo(child, values)
			}
			continue
		}
		s := &g.streams[child.stream]
		if s.seen <= slots {
			continue // the row has reached neither this field nor any below it
		}
		keep := slots
		if child.List {
			keep = len(s.rep)
			for drop := s.seen - slots; drop > 0; {
				if keep--; s.rep[keep] < child.rep {
					drop--
				}
			}
			s.rep = s.rep[:keep]
		}
		values := present(s.def[keep:], child.def)
		s.def, s.seen = s.def[:keep], slots
		if child.Type != Struct {
			g.columns[child.column].undo(child, values)
			continue
		}
		g.undoFields(child)
	}
}

// present counts the slots that have a value.
func present(def []byte, full uint8) (n int) {
	for _, d := range def {
		if d == full {
			n++
		}
	}
	return n
}

// undo takes back the last n values of f. It looks only once at each value that stays, however
// many lines are refused.
func (c *column) undo(f *Field, n int) {
	if n == 0 {
		return
	}
	o := &c.open
	o.values -= n
	k := &o.settled
	if c.isPlain() {
		k.plain = c.plainEnd(f)
		o.plain = o.plain[:k.plain]
	} else {
		o.index = o.index[:o.values]
		k.known = max(k.known, c.chunk.known)
		for _, i := range o.index[k.values:] {
			k.known = max(k.known, int(i)+1)
		}
		c.dict.truncate(k.known, n)
		c.guess = nil
	}
	k.values = o.values
}

// plainEnd returns where the open page's PLAIN-encoded values end, given how many there are.
func (c *column) plainEnd(f *Field) int {
	switch {
	case f.Type == Boolean: // a byte each until the page is encoded
		return c.open.values
	case c.fixed > 0:
		return c.open.values * c.fixed
	}
	end := c.open.settled.plain
	for range c.open.values - c.open.settled.values {
		end += 4 + int(binary.LittleEndian.Uint32(c.open.plain[end:]))
	}
	return end
}
