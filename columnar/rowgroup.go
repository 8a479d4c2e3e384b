package columnar

import "slices"

// rowGroup holds the rows that are being shredded as columns, in the form in which
// Parquet has them: values as they are encoded, and levels (see the Dremel paper) as a
// byte each.
//
// Most fields of a layout are null in most rows, and a null costs nothing here. Every
// struct and list has a stream of levels of its own. A field that has had no value
// lately has no levels: they are those of the struct around it, and are copied from
// there, all at once, when the field's next value comes. A field that is never
// touched shares the stream of the struct around it to the end.
//
// A row is open from beginRow to endRow or undo. While it is, each leaf or element that is
// opened gets exactly one value, unless it is null; no page is cut, because undo finds values
// by counting levels; and every change is recorded with note, as opOnce if it cannot be
// replayed (see op).
type rowGroup struct {
	layout      *Layout
	space       *workspace
	streams     []stream
	columns     []column
	rows        int
	finished    int   // bytes of the finished pages
	marks       []int // columns whose open page is to be cut when the row is over, each once
	pageBytes   int   // size from which a page is cut, before compression
	pageIndices int   // how many values of a dictionary it has then
	growth      int   // see roomFor
	epoch       int   // changes when places in dictionaries, which echoes and starts know, are no longer what they were; never 0
	noting      bool  // what is done is noted
	notes       []op  // of the outermost object that is noted
}

// stream is the levels of a struct's or list's slots: a slot for each place where the
// field could be, up to the last row in which it was touched.
type stream struct {
	seen int    // how many slots of the stream around it are in it: of a struct, len(def); a list's def has one for each element
	def  []byte // definition level of each slot
	rep  []byte // repetition level of each slot; a struct has those of the list around it
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

// reset empties the row group and keeps its memory, and what it has learned: which columns
// repeat themselves, and what makes their pages small.
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

// beginRow opens a row's slot in the root.
func (g *rowGroup) beginRow() {
	root := &g.streams[g.layout.root.stream]
	push(&root.def, 0, g.growth)
	push(&root.rep, 0, g.growth)
	root.seen++
	g.rows++
}

// slots is how many slots a struct or list has; the last one is open.
func (g *rowGroup) slots(f *Field) int { return len(g.streams[f.stream].def) }

// catchUp gives a stream the slots of its parent's that it has not seen, but for the
// last n: in them the field is as absent as the struct around it.
func (g *rowGroup) catchUp(f *Field, n int) {
	s, around := &g.streams[f.stream], &g.streams[f.parent.stream]
	to := len(around.def) - n
	if s.seen >= to {
		return
	}
	s.def = append(roomFor(s.def, to-s.seen, g.growth), around.def[s.seen:to]...)
	if f.List {
		s.rep = append(roomFor(s.rep, to-s.seen, g.growth), g.repeats(f.parent)[s.seen:to]...)
	}
	s.seen = to
}

// repeats are the repetition levels of a struct's slots: those of the list around it.
// Structs on the way down to an open slot are caught up, so theirs are as many.
func (g *rowGroup) repeats(f *Field) []byte {
	for !f.List && f.parent != nil {
		f = f.parent
	}
	return g.streams[f.stream].rep
}

// taken says whether a field already has a value in its parent's open slot.
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

// emptyList says that a list is there and has no element. The field must not be taken.
func (g *rowGroup) emptyList(f *Field) { g.firstElement(f, f.emptyLevel()) }

// element opens the slot of a list's element; the first one must not be taken. An
// element that is null has no value.
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

// nextElement opens the slot of an element that is not its list's first.
func (g *rowGroup) nextElement(f *Field, def uint8) {
	s := &g.streams[f.stream]
	push(&s.def, def, g.growth)
	push(&s.rep, f.rep, g.growth)
	g.note(f, opNextElement, uint32(def))
}

// firstElement opens the slot of a list's first element, or that of its having none.
func (g *rowGroup) firstElement(f *Field, def uint8) {
	g.catchUp(f, 1)
	repeats := g.repeats(f.parent)
	s := &g.streams[f.stream]
	push(&s.def, def, g.growth)
	push(&s.rep, repeats[s.seen], g.growth) // of the open slot around it: catchUp has passed all others
	s.seen++
	g.note(f, opFirstElement, uint32(def))
}

// leaf opens the slot of a leaf that is not a list, for the value that follows. The
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

// endRow closes the row.
func (g *rowGroup) endRow(e *pageEncoder) {
	for _, i := range g.marks {
		if c := &g.columns[i]; !g.staysOpen(c) {
			g.cutPage(e, g.layout.columns[i], true)
		}
	}
	g.marks = g.marks[:0]
}

// mark has a field's open page looked at when the row is over: it may be cut then.
func (g *rowGroup) mark(f *Field) {
	if !slices.Contains(g.marks, f.column) { // a row may have millions of values
		g.marks = append(g.marks, f.column)
	}
}

// push appends a value. As long as there is room, nothing but the length is written: not the
// pointer, which the garbage collector would want to know of.
func push[T any](s *[]T, v T, growth int) {
	if len(*s) == cap(*s) {
		*s = roomFor(*s, 1, growth)
	}
	*s = append(*s, v)
}

// roomFor is s with room for n more, and for growth times as many as now if it has to move;
// what is large grows to twice its size. append and slices.Grow also clear the room that is
// left; what make gets fresh from the system is clear, and what is never used is never touched.
func roomFor[T any](s []T, n, growth int) []T {
	const least, large = 16, 4 << 20 // values, which are seldom alone
	if cap(s)-len(s) < n {
		more := max(len(s), min((growth-1)*len(s), large))
		s = append(make([]T, 0, len(s)+max(n, more, least)), s...)
	}
	return s
}
