package columnar

import "slices"

// rowGroup holds the rows being shredded as columns, in Parquet's form: encoded values, and levels
// (see the Dremel paper) as one byte each.
//
// Most fields of a layout are null in most rows, and here a null costs nothing. Every struct and
// list has its own stream of levels. A field with no value in the latest rows has no levels for
// them: they are those of the struct around it, and are copied from there, all at once, when the
// field's next value comes. A field that is never touched shares the stream of the struct around
// it to the end.
//
// A row is open from beginRow to endRow or undo. While it is open, each leaf or element that is
// opened gets exactly one value, unless it is null; no page is cut, because undo finds values by
// counting levels; and every change is recorded with note, as opOnce if it cannot be replayed (see
// op).
type rowGroup struct {
	layout      *Layout
	space       *workspace
	streams     []stream
	columns     []column
	rows        int
	finished    int   // bytes of finished pages
	marks       []int // columns whose open page may be cut at the end of the row, each once
	pageBytes   int   // size at which a page is cut, before compression
	pageIndices int   // number of dictionary indices at which a page is cut
	growth      int   // see roomFor
	// epoch changes when the dictionary indices that echoes and starts remember become invalid. It is
	// never 0.
	epoch int

	noting bool // note records changes
	notes  []op // what the outermost object being noted has done so far
}

// stream holds the levels of a struct's or list's slots: one slot for each place where the field
// could be, up to the last row in which it was touched.
type stream struct {
	// seen is how many slots of the parent's stream this one covers: len(def) for a struct; a list's
	// def has an entry for each element.
	seen int
	def  []byte // definition level of each slot
	rep  []byte // repetition level of each slot; only for lists and the root, see repLevels
}

func newRowGroup(l *Layout, o *Options, s *workspace) *rowGroup {
	g := &rowGroup{layout: l, space: s, streams: make([]stream, l.streams), columns: make([]column, len(l.columns)),
		pageBytes: o.PageBytes, pageIndices: max(1, o.PageBytes/indexedBytes), growth: o.growth(), epoch: 1}
	for i, f := range l.columns {
		g.columns[i] = newColumn(f, l, o)
		g.columns[i].open.trial = g.firstTrial()
	}
	return g
}

// reset empties the row group. It keeps its memory and what it has learned: which columns repeat
// themselves, and what makes their pages small.
func (g *rowGroup) reset() {
	for i := range g.streams {
		s := &g.streams[i]
		s.seen, s.def, s.rep = 0, s.def[:0], s.rep[:0]
	}
	for i := range g.columns {
		g.columns[i].reset()
		g.columns[i].open.trial = g.firstTrial()
	}
	g.rows, g.finished, g.marks = 0, 0, g.marks[:0]
	g.epoch++
}

// beginRow opens the row's slot in the root.
func (g *rowGroup) beginRow() {
	root := &g.streams[g.layout.root.stream]
	push(&root.def, 0, g.growth)
	push(&root.rep, 0, g.growth)
	root.seen++
	g.rows++
}

// slots returns the number of slots of a struct or list; the last one is open.
func (g *rowGroup) slots(f *Field) int { return len(g.streams[f.stream].def) }

// catchUp gives a stream the slots of its parent's stream that it has not seen, except for the
// last n. In the slots it adds, the field is as absent as the struct around it.
func (g *rowGroup) catchUp(f *Field, n int) {
	s, around := &g.streams[f.stream], &g.streams[f.parent.stream]
	to := len(around.def) - n
	if s.seen >= to {
		return
	}
	s.def = append(roomFor(s.def, to-s.seen, g.growth), around.def[s.seen:to]...)
	if f.List {
		s.rep = append(roomFor(s.rep, to-s.seen, g.growth), g.repLevels(f.parent)[s.seen:to]...)
	}
	s.seen = to
}

// repLevels returns the repetition levels of a struct's slots: those of the list around it, or of
// the root. Structs on the path to an open slot are caught up, so they have as many slots.
func (g *rowGroup) repLevels(f *Field) []byte {
	for !f.List && f.parent != nil {
		f = f.parent
	}
	return g.streams[f.stream].rep
}

// taken reports whether a field already has a value in its parent's open slot.
func (g *rowGroup) taken(f *Field) bool {
	slots := g.slots(f.parent)
	if f.stream >= 0 {
		return g.streams[f.stream].seen == slots
	}
	return len(g.columns[f.column].def) == slots
}

// enter opens a struct's slot. The field must not be taken.
func (g *rowGroup) enter(f *Field) {
	g.catchUp(f, 1)
	s := &g.streams[f.stream]
	push(&s.def, f.def, g.growth)
	s.seen++
	g.note(f, opEnter, 0)
}

// emptyList records a list that is present but has no elements. The field must not be taken.
func (g *rowGroup) emptyList(f *Field) { g.firstElement(f, f.emptyLevel()) }

// element opens the slot of a list element. Before the first one, the field must not be taken. A
// null element has no value.
func (g *rowGroup) element(f *Field, first, null bool) {
	def := f.def
	if null {
		def = f.nullElementLevel()
	}
	if first {
		g.firstElement(f, def)
		return
	}
	g.nextElement(f, def)
}

// nextElement opens the slot of an element that is not the first of its list.
func (g *rowGroup) nextElement(f *Field, def uint8) {
	s := &g.streams[f.stream]
	push(&s.def, def, g.growth)
	push(&s.rep, f.rep, g.growth)
	g.note(f, opNextElement, uint32(def))
}

// firstElement opens the slot of a list's first element, or the one that says the list is empty.
func (g *rowGroup) firstElement(f *Field, def uint8) {
	g.catchUp(f, 1)
	reps := g.repLevels(f.parent)
	s := &g.streams[f.stream]
	push(&s.def, def, g.growth)
	// reps[s.seen] is that of the parent's open slot: catchUp has covered all earlier ones.
	push(&s.rep, reps[s.seen], g.growth)
	s.seen++
	g.note(f, opFirstElement, uint32(def))
}

// leaf opens the slot of a leaf that is not a list, for the value that the caller adds next. The
// field must not be taken.
func (g *rowGroup) leaf(f *Field) *column {
	c, around := &g.columns[f.column], &g.streams[f.parent.stream]
	slots := len(around.def)
	if n := len(c.def); n < slots-1 {
		c.def = append(roomFor(c.def, slots-n, g.growth), around.def[n:slots-1]...)
	}
	push(&c.def, f.def, g.growth)
	g.note(f, opLeaf, 0)
	return c
}

// endRow closes the row and cuts the pages that are due.
func (g *rowGroup) endRow(e *pageEncoder) {
	for _, i := range g.marks {
		if c := &g.columns[i]; !g.staysOpen(c) {
			g.cutPage(e, g.layout.columns[i], true)
		}
	}
	g.marks = g.marks[:0]
}

// mark has a field's open page checked at the end of the row, when it may be cut.
func (g *rowGroup) mark(f *Field) {
	if !slices.Contains(g.marks, f.column) { // called for each value, and a row may have millions
		g.marks = append(g.marks, f.column)
	}
}

// push appends a value. While there is room, it writes only the slice's length: writing the
// pointer, too, would cost a write barrier.
func push[T any](s *[]T, v T, growth int) {
	if len(*s) == cap(*s) {
		*s = roomFor(*s, 1, growth)
	}
	*s = append(*s, v)
}

// roomFor returns s with room for n more values. If it has to move, it gets room for growth times
// its length; large slices only double. append and slices.Grow also clear the unused room; make
// does not clear what comes fresh from the system, so room that is never used is never touched.
func roomFor[T any](s []T, n, growth int) []T {
	const minRoom, large = 16, 4 << 20 // in values, which seldom come alone
	if cap(s)-len(s) < n {
		more := max(len(s), min((growth-1)*len(s), large))
		s = append(make([]T, 0, len(s)+max(n, more, minRoom)), s...)
	}
	return s
}
