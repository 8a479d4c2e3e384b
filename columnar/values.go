package columnar

import "encoding/binary"

// scannedText is a text read from JSON.
type scannedText struct {
	bytes []byte
	asIs  bool // it has no escapes: the line has these very bytes

	missed bool // it is known not to be what its column guesses
}

// matchGuess compares the text that begins at i of a line with the one that the column guesses. If
// they are equal, it returns the index after the closing quote, and the text's bytes need no other
// look; else it returns 0.
func (c *column) matchGuess(line []byte, i int) int {
	end := i + len(c.guess)
	if c.guess == nil || end >= len(line) || line[end] != '"' || string(line[i:end]) != string(c.guess) {
		return 0
	}
	return end + 1
}

// addIndex adds a value of the open slot that is in the column's dictionary at index i.
func (g *rowGroup) addIndex(f *Field, c *column, i uint32) {
	c.open.values++
	push(&c.open.index, int32(i), g.growth)
	if len(c.open.index) >= c.open.trial {
		g.mark(f)
	}
	g.note(f, opIndex, i)
}

// addKnownIndex is addIndex for a value whose index i the caller remembers. It counts as
// dictionary.add does, and leaves the guess of the next value alone.
func (g *rowGroup) addKnownIndex(f *Field, c *column, i uint32) {
	c.dict.adds++
	g.addIndex(f, c, i)
}

// addGuessed adds the text that the column guesses.
func (g *rowGroup) addGuessed(f *Field, c *column) {
	i, another := c.dict.addGuessed()
	g.addIndex(f, c, i)
	if another {
		c.guess = c.dict.guess()
	}
}

// repeat opens the slot of a leaf that is not a list, for the value that it had last in this row
// group. If that value is no longer known, repeat does nothing and returns false. It is for
// columns that no object's notes contain and of which no refused line has a value of its own.
func (g *rowGroup) repeat(f *Field) bool {
	c := &g.columns[f.column]
	if c.isPlain() || c.dict == nil || len(c.dict.values) == 0 {
		return false
	}
	g.addKnownIndex(f, g.leaf(f), c.dict.last)
	return true
}

// bytes adds a value of the open slot. v is copied.
func (g *rowGroup) bytes(f *Field, c *column, v []byte) { g.text(f, c, scannedText{bytes: v}) }

// text is bytes for a text. A text without escapes may be what the column guesses later.
func (g *rowGroup) text(f *Field, c *column, t scannedText) {
	v := t.bytes
	if !c.isPlain() {
		if c.dict == nil {
			g.space.beginColumn(c, g.growth)
		}
		if i, ok := c.dict.add(v, t.asIs, t.missed); ok {
			g.addIndex(f, c, i)
			c.guess = c.dict.guess()
			return
		}
		g.giveUpDictionary(c, plainAlways)
	}
	g.note(f, opOnce, 0)
	c.open.values++
	pushPlain(&c.open.plain, v, c.fixed, g.growth)
	if len(c.open.plain) >= g.pageBytes {
		g.mark(f)
	}
}

// pushPlain appends the PLAIN encoding of a value. fixed is the size that the value must have, or
// 0 for a BYTE_ARRAY. See push.
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

// plainSize returns the size of each of these PLAIN-encoded values, with its length prefix, or 0
// if sizes differ.
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

// bool adds a value of the open slot, as one byte until the page is encoded.
func (g *rowGroup) bool(f *Field, c *column, v bool) {
	c.open.values++
	b, kind := byte(0), opFalse
	if v {
		b, kind = 1, opTrue
	}
	g.note(f, kind, 0)
	c.open.plain = append(c.open.plain, b)
}

// giveUpDictionary makes a column give up its dictionary. It begins a new epoch, because
// remembered indices into that dictionary are invalid now.
func (g *rowGroup) giveUpDictionary(c *column, to encoding) {
	c.giveUpDictionary(to)
	g.epoch++
}

// staysOpen reports whether a column's open page, which is marked, takes more rows. The column
// gives up its dictionary first if the page shows that it does not pay. This is decided between
// rows, so that refused lines have no influence on it.
func (g *rowGroup) staysOpen(c *column) bool {
	if !c.isPlain() && c.dict.inRuns(c.open.index, c.chunk.known) {
		g.giveUpDictionary(c, plainAlways)
	}
	if c.isPlain() {
		return len(c.open.plain) < g.pageBytes
	}
	c.open.trial = min(2*len(c.open.index), g.pageIndices)
	return len(c.open.index) < g.pageIndices
}

// firstTrial is how many values a page has when its dictionary is first judged.
func (g *rowGroup) firstTrial() int { return min(dictionaryTrial, g.pageIndices) }
