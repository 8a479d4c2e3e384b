package columnar

import "slices"

// Much of a resource consists of objects that came before, byte for byte: a category, a code, a
// reference to the patient. Such an object is only compared, and what it did to the columns is
// replayed. The output is the same as if every object were read.

// op is one change to a row group. rowGroup.replay replays it.
type op struct {
	field *Field
	kind  opKind
	arg   uint32 // a definition level, or an index into the column's dictionary
}

type opKind uint8

const (
	opEnter        opKind = iota
	opFirstElement        // with a definition level
	opNextElement         // with a definition level
	opLeaf
	opIndex     // with an index into the dictionary
	opLeafIndex // opLeaf, then opIndex
	opTrue      // bool
	opFalse     // bool
	opOnce      // cannot be replayed: it did more than an op records
)

// maxNotes is the maximum number of ops that are noted, 128 KiB: an object may have millions.
const maxNotes = 8192

// note records an op, if noting is on.
func (g *rowGroup) note(f *Field, kind opKind, arg uint32) {
	if g.noting {
		g.addNote(f, kind, arg)
	}
}

// addNote records an op, up to maxNotes since noting began. At that number, some may be missing.
func (g *rowGroup) addNote(f *Field, kind opKind, arg uint32) {
	switch n := len(g.notes); {
	case kind == opIndex && n > 0 && g.notes[n-1].kind == opLeaf:
		g.notes[n-1] = op{f, opLeafIndex, arg}
	case n < maxNotes:
		g.notes = append(g.notes, op{f, kind, arg})
	}
}

// replay repeats ops that were noted in this epoch, in another slot of the same field.
func (g *rowGroup) replay(ops []op) {
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
		case opIndex:
			g.addKnownIndex(f, &g.columns[f.column], o.arg)
		case opLeafIndex:
			g.addKnownIndex(f, g.leaf(f), o.arg)
		case opTrue, opFalse:
			g.bool(f, &g.columns[f.column], o.kind == opTrue)
		}
	}
}

// echoes holds objects that a struct or a list of structs has had in one epoch of a row group,
// and the ops of each. The zero value is empty.
type echoes struct {
	objects *dictionary // guesses the next object
	ops     []op
	ends    []uint32 // of each object's ops
	epoch   int

	guess        []byte // the object that is likely to come next; nil for none
	guessedOps   []op   // its ops
	hits, misses int    // objects that came as guessed, and objects that were read and noted
}

const (
	// echoBytes is how many bytes of objects a field keeps, with their ops, before it starts over.
	// What one patient's resources share comes for a while and then no more, so little is worth
	// keeping.
	echoBytes = 16 << 10
	// echoTrial is by how much misses may exceed hits before a field gives up until the next epoch.
	echoTrial = 64
)

// begin starts an epoch and forgets everything: the indices in ops of an earlier epoch are invalid.
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

// pay reports whether it still pays to look for known objects. Noting an object that does not
// come again costs about as much as one that does saves.
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

// hit returns the ops of the object that came as guessed, and guesses the next one.
func (e *echoes) hit() []op {
	ops := e.guessedOps
	e.hits++
	if _, another := e.objects.addGuessed(); another {
		e.guessNext()
	}
	return ops
}

// learn keeps an object and its ops, if they can be replayed.
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

// nested reads the object at i into the open slot of f, which is not the root. If the object may
// come again, nested notes what it does to the columns. The object must not do anything else,
// unless aside detects it: a replay would lose that.
func (s *shredder) nested(f *Field, i int) int {
	e, g := &s.echoes[f.stream], s.rows
	if e.epoch != g.epoch {
		e.begin(g.epoch)
	}
	if !e.pay() {
		return s.object(f, i)
	}
	if end := i + len(e.guess); e.guess != nil && end <= len(s.line) && string(s.line[i:end]) == string(e.guess) {
		g.replay(e.hit())
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
	// Side columns say where in the row a value comes from, so they cannot be replayed.
	aside := s.whole || len(s.residual) > residual || s.extensions.count > extensions
	if end > 0 && !aside && len(g.notes) < maxNotes {
		e.learn(s.line[i:end], g.notes[from:])
	}
	return end
}
