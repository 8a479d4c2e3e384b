package columnar

import "encoding/binary"

// scannedText is a text of JSON.
type scannedText struct {
	bytes []byte
	asIs  bool // it stands in the line as it is, without escapes

	missed bool // it does not stand there as its column guesses
}

// matchGuess says where a text ends that begins at i of a line, if it is the one that the
// column guesses, behind its quote; else it is 0. That one needs no other look at its
// bytes.
func (c *column) matchGuess(line []byte, i int) int {
	end := i + len(c.guess)
	if c.guess == nil || end >= len(line) || line[end] != '"' || string(line[i:end]) != string(c.guess) {
		return 0
	}
	return end + 1
}

// place adds a value of the open slot that is in the column's dictionary.
func (g *rowGroup) place(f *Field, c *column, i uint32) {
	c.open.values++
	push(&c.open.index, int32(i), g.growth)
	if len(c.open.index) >= c.open.trial {
		g.mark(f)
	}
	g.note(f, opPlace, i)
}

// placeAgain is place for a value of which the caller knows that it is the one at i: it counts
// as dictionary.add counts, and what is guessed next stays.
func (g *rowGroup) placeAgain(f *Field, c *column, i uint32) {
	c.dict.adds++
	g.place(f, c, i)
}

// addGuessed adds the text that the column guesses.
func (g *rowGroup) addGuessed(f *Field, c *column) {
	i, another := c.dict.addGuessed()
	g.place(f, c, i)
	if another {
		c.guess = c.dict.guess()
	}
}

// repeat opens the slot of a leaf that is not a list for the value that it had last, in
// this row group. It returns false if that is not known any more: then nothing is done. It is
// for columns that no object's notes are of, and of which no line that is refused has a value
// of its own.
func (g *rowGroup) repeat(f *Field) bool {
	c := &g.columns[f.column]
	if c.plainly() || c.dict == nil || len(c.dict.values) == 0 {
		return false
	}
	g.placeAgain(f, g.leaf(f), c.dict.last)
	return true
}

// bytes adds a value of the open slot. v is copied.
func (g *rowGroup) bytes(f *Field, c *column, v []byte) { g.text(f, c, scannedText{bytes: v}) }

// text is bytes for a text. One that stands in JSON as it is may be what the column guesses
// later.
func (g *rowGroup) text(f *Field, c *column, t scannedText) {
	v := t.bytes
	if !c.plainly() {
		if c.dict == nil {
			g.space.beginColumn(c, g.growth)
		}
		if i, ok := c.dict.add(v, t.asIs, t.missed); ok {
			g.place(f, c, i)
			c.guess = c.dict.guess()
			return
		}
		g.leaveDictionary(c, plainEver)
	}
	g.note(f, opOnce, 0)
	c.open.values++
	pushPlain(&c.open.plain, v, c.fixed, g.growth)
	if len(c.open.plain) >= g.pageBytes {
		g.mark(f)
	}
}

// pushPlain appends the PLAIN encoding of a value; fixed is its size, which it has, 0 for a
// BYTE_ARRAY. See push.
func pushPlain(to *[]byte, v []byte, fixed, growth int) {
	start, head := len(*to), 0
	if fixed == 0 {
		head = 4
	}
	if cap(*to)-start < head+len(v) {
		*to = roomFor(*to, head+len(v), growth)
	}
	*to = (*to)[:start+head+len(v)]
	if head > 0 {
		binary.LittleEndian.PutUint32((*to)[start:], uint32(len(v)))
	}
	copy((*to)[start+head:], v)
}

// plainSize is how many bytes each of PLAIN-encoded values has, with its length; 0 if they differ.
func plainSize(plain []byte, fixed int) int {
	if fixed > 0 || len(plain) < 4 {
		return fixed
	}
	size := binary.LittleEndian.Uint32(plain)
	for rest := plain; len(rest) > 0; rest = rest[4+size:] {
		if binary.LittleEndian.Uint32(rest) != size {
			return 0
		}
	}
	return 4 + int(size)
}

// bool adds a value of the open slot, a byte each until the page is encoded.
func (g *rowGroup) bool(f *Field, c *column, v bool) {
	c.open.values++
	b, kind := byte(0), opFalse
	if v {
		b, kind = 1, opTrue
	}
	g.note(f, kind, 0)
	c.open.plain = append(c.open.plain, b)
}

// leaveDictionary is the column's. Whoever knows a place in the dictionary shall not use it
// from now on.
func (g *rowGroup) leaveDictionary(c *column, to encoding) {
	c.leaveDictionary(to)
	g.epoch++
}

// staysOpen says whether a column's open page, which is marked, takes more rows. The column
// leaves its dictionary first if the page shows that it does not pay. That is seen between
// rows, so that lines that are refused have no say in it.
func (g *rowGroup) staysOpen(c *column) bool {
	if !c.plainly() && c.dict.inRuns(c.open.index, c.chunk.known) {
		g.leaveDictionary(c, plainEver)
	}
	if c.plainly() {
		return len(c.open.plain) < g.pageBytes
	}
	c.open.trial = min(2*len(c.open.index), g.pageIndices)
	return len(c.open.index) < g.pageIndices
}

// firstTrial is how many values a page has when it is first seen whether a dictionary pays.
func (g *rowGroup) firstTrial() int { return min(dictionaryTrial, g.pageIndices) }
