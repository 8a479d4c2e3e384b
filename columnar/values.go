package columnar

import (
	"encoding/binary"
	"slices"
)

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
	c.values++
	push(&c.index, int32(i), g.growth)
	if len(c.index) >= c.trial {
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
	if c.plainly || c.dict == nil || len(c.dict.values) == 0 {
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
	if !c.plainly {
		if c.dict == nil {
			g.space.beginColumn(c, g.growth)
		}
		if i, ok := c.dict.add(v, t.asIs, t.missed); ok {
			g.place(f, c, i)
			c.guess = c.dict.guess()
			return
		}
		g.leaveDictionary(c)
	}
	g.note(f, opOnce, 0)
	c.values++
	pushPlain(&c.plain, v, c.fixed, g.growth)
	if len(c.plain) >= g.pageBytes {
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
	c.values++
	b, kind := byte(0), opFalse
	if v {
		b, kind = 1, opTrue
	}
	g.note(f, kind, 0)
	c.plain = append(c.plain, b)
}

// leaveDictionary gives the dictionary up for the open page and all that follow. Pages
// before it keep it, with the values that they know: others may be of a line that is not
// JSON in the end, and have no place in a file then.
func (g *rowGroup) leaveDictionary(c *column) {
	size := 0
	for _, i := range c.index {
		size += len(c.dict.encoded(uint32(i)))
	}
	c.plain = slices.Grow(c.plain, size)
	for _, i := range c.index {
		c.plain = append(c.plain, c.dict.encoded(uint32(i))...)
	}
	if c.inPages > 0 {
		c.dict.truncate(c.inPages, 0)
	}
	c.index, c.plainly, c.guess = c.index[:0], true, nil
	g.epoch++ // whoever knows a place in it shall not use that
}

// staysOpen says whether a column's open page, which is marked, takes more rows. The column
// leaves its dictionary first if the page shows that it does not pay. That is seen between
// rows, so that lines that are refused have no say in it.
func (g *rowGroup) staysOpen(c *column) bool {
	if !c.plainly && c.dict.inRuns(c.index, c.inPages) {
		g.leaveDictionary(c)
	}
	if c.plainly {
		return len(c.plain) < g.pageBytes
	}
	c.trial = min(2*len(c.index), g.pageIndices)
	return len(c.index) < g.pageIndices
}

// firstTrial is how many values a page has when it is first seen whether a dictionary pays.
func (g *rowGroup) firstTrial() int { return min(dictionaryTrial, g.pageIndices) }

// dropDictionary writes the open page, which is the chunk's only one, without its dictionary
// if that takes no more room: so it is where hardly a value came twice, or not but in a run.
func (g *rowGroup) dropDictionary(c *column) {
	if c.plainly || c.values == 0 || !c.dict.inRuns(c.index, 0) && c.plainIsLarger() {
		return
	}
	g.leaveDictionary(c)
	c.plainOnce = true
}

// plainIsLarger says whether the open page, which is the chunk's only one, has more bytes
// without its dictionary, before compression.
func (c *column) plainIsLarger() bool {
	size := 0
	for _, i := range c.index {
		if size += len(c.dict.encoded(uint32(i))); size > len(c.dict.plain)+dictionaryCost {
			return true
		}
	}
	return false
}
