package columnar

import "slices"

// Much of a resource is objects that have come before, byte for byte: a category, a code,
// a reference to the patient whose resources these are. What such an object did to the
// columns is done again without reading it: it need only be compared. What is written is
// the same as if each object were read.

// op is one thing that was done to a row group; again says how it is done once more.
type op struct {
	field *Field
	kind  opKind
	arg   uint32 // a definition level, or a place in the column's dictionary
}

type opKind uint8

const (
	opEnter        opKind = iota
	opFirstElement        // with a definition level
	opNextElement         // with a definition level
	opLeaf
	opPlace     // with a place in the dictionary
	opLeafPlace // opLeaf, then opPlace
	opTrue      // bool
	opFalse     // bool
	opOnce      // what cannot be done again: it is more than a note tells
)

// maxNotes is how many ops are noted, 128 KiB of them: an object may have millions.
const maxNotes = 8192

// note adds to what is being noted, if anything is.
func (g *rowGroup) note(f *Field, kind opKind, arg uint32) {
	if g.noting {
		g.addNote(f, kind, arg)
	}
}

// addNote adds to what was done since noting began, up to maxNotes.
func (g *rowGroup) addNote(f *Field, kind opKind, arg uint32) {
	switch n := len(g.notes); {
	case kind == opPlace && n > 0 && g.notes[n-1].kind == opLeaf:
		g.notes[n-1] = op{f, opLeafPlace, arg}
	case n < maxNotes:
		g.notes = append(g.notes, op{f, kind, arg})
	}
}

// again does what was noted in this epoch, in another slot of the same field.
func (g *rowGroup) again(ops []op) {
	for i := range ops {
		o := &ops[i]
		switch f := o.field; o.kind {
		case opEnter:
			g.enter(f)
		case opFirstElement:
			g.firstElement(f, uint8(o.arg))
		case opNextElement:
			g.nextElement(f, uint8(o.arg))
		case opLeaf:
			g.leaf(f)
		case opPlace:
			g.placeAgain(f, &g.columns[f.column], o.arg)
		case opLeafPlace:
			g.placeAgain(f, g.leaf(f), o.arg)
		case opTrue, opFalse:
			g.bool(f, &g.columns[f.column], o.kind == opTrue)
		}
	}
}

// echoes are the objects that a struct or a list of structs has had in an epoch of a row
// group, and what each did there. The zero value has none.
type echoes struct {
	objects *dictionary // which guesses the next one
	ops     []op
	ends    []uint32 // of each object's ops
	epoch   int

	guess        []byte // the object that is likely the next one; nil for none
	guessedOps   []op   // and what it did
	hits, misses int    // how many came as guessed, and how many were read and noted
}

const (
	// echoBytes is how many bytes of objects a field keeps, with what they did, before it
	// begins anew. What one patient's resources share comes for some time and
	// then no more, so that little is worth keeping.
	echoBytes = 16 << 10
	// echoTrial is how many objects are read before it matters how many came as guessed.
	echoTrial = 64
)

// begin forgets all: what the ops of another epoch say of dictionaries is wrong by now.
func (e *echoes) begin(epoch int) {
	if e.objects == nil {
		e.objects = newDictionary(0, roomyGrowth)
	}
	e.epoch, e.hits, e.misses = epoch, 0, 0
	e.forget()
}

func (e *echoes) forget() {
	e.objects.reset()
	e.ops, e.ends, e.guess = e.ops[:0], e.ends[:0], nil
}

// pay says whether to look for objects at all. Noting one that does not come again costs
// about what one that does saves.
func (e *echoes) pay() bool { return e.misses <= e.hits+echoTrial }

// guessNext guesses the next object.
func (e *echoes) guessNext() {
	e.guess = e.objects.guess()
	n, start := e.objects.likely(), uint32(0)
	if n > 0 {
		start = e.ends[n-1]
	}
	e.guessedOps = e.ops[start:e.ends[n]]
}

// hit says what the object does that was as guessed.
func (e *echoes) hit() []op {
	ops := e.guessedOps
	e.hits++
	if _, another := e.objects.addGuessed(); another {
		e.guessNext()
	}
	return ops
}

// learn keeps what an object did, if it can be done again.
func (e *echoes) learn(object []byte, ops []op) {
	if len(object) > echoBytes/4 || slices.ContainsFunc(ops, func(o op) bool { return o.kind == opOnce }) {
		return
	}
	if len(e.objects.plain)+len(object) > echoBytes {
		e.forget()
	}
	i, ok := e.objects.add(object, true, e.guess != nil)
	if !ok {
		e.forget()
		return
	}
	if int(i) == len(e.ends) {
		e.ops = append(e.ops, ops...)
		e.ends = append(e.ends, uint32(len(e.ops)))
	}
	e.guessNext()
}

// nested reads the object at i into the open slot of f, which is not the root. It notes
// what that does if it may come again: to the columns, and nothing else may be done but what
// aside knows of.
func (s *shredder) nested(f *Field, i int) int {
	e, g := &s.echoes[f.stream], s.rows
	if e.epoch != g.epoch {
		e.begin(g.epoch)
	}
	if !e.pay() {
		return s.object(f, i)
	}
	if end := i + len(e.guess); e.guess != nil && end <= len(s.line) && string(s.line[i:end]) == string(e.guess) {
		g.again(e.hit())
		return end
	}
	e.misses++
	within := g.noting
	if !within {
		g.noting, g.notes = true, g.notes[:0]
	}
	from, residual, extensions := len(g.notes), len(s.residual), s.extensions.count
	end := s.object(f, i)
	g.noting = within
	// What goes to the side columns tells where in the row it is from.
	aside := s.whole || len(s.residual) > residual || s.extensions.count > extensions
	if end > 0 && !aside && len(g.notes) < maxNotes {
		e.learn(s.line[i:end], g.notes[from:])
	}
	return end
}
