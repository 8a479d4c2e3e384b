package columnar

import (
	"slices"

	"github.com/parquet-go/parquet-go/format"
)

// column holds the values of a leaf: finished pages, and after them the open page.
type column struct {
	traits
	def      []byte      // as stream.def, unless the leaf is a list: its stream has it then
	encoding encoding    // of the values to come
	dict     *dictionary // nil before the first value, and for booleans
	guess    []byte      // the current dict.guess(), nil for none; addGuessed relies on it
	open     openPage
	chunk    chunk

	starts  starts  // of dates
	packing packing // of PLAIN-encoded pages
}

// traits are what the field and the options fix for a column.
type traits struct {
	// fixed is the number of bytes in a value. It is 0 for a BYTE_ARRAY, whose values are prefixed
	// with their length, and for a BOOLEAN, which has neither dictionary nor bounds.
	fixed int

	bounded bool // statistics have bounds
	bloom   bool // it has a bloom filter
	base64  bool
}

// encoding is how a column encodes its values.
type encoding uint8

const (
	inDictionary encoding = iota
	plainOnce             // PLAIN in this row group alone: the next one tries a dictionary again
	plainAlways           // PLAIN in all row groups to come; booleans always
)

// openPage holds the values that are in no page yet. Its slots and rows follow the chunk's.
type openPage struct {
	values  int
	index   []int32 // the values, as indices into the dictionary
	plain   []byte  // or PLAIN-encoded; a byte for each boolean
	trial   int     // number of values at which to check next whether the dictionary pays
	settled settled
}

// settled is what undo has learned about the first values of an open page, which will not be
// undone any more, so that later calls need not look at them again.
type settled struct {
	values int
	known  int // as chunk.known
	plain  int // bytes
}

// chunk holds a column's finished pages.
type chunk struct {
	pages  []page
	dict   page // the dictionary page, if a page needs one; set when the row group is encoded
	rows   int  // rows of the row group that the pages cover
	slots  int
	nulls  int
	known  int      // how many of the dictionary's values the pages may use
	bounds bounds   // of the values; sumUpDictionary adds those in the dictionary
	hashes []uint64 // of the same values, for the bloom filter
}

func newColumn(f *Field, l *Layout, o *Options) column {
	c := column{traits: traits{bounded: f.bounded(o.IdentifyingBounds), bloom: o.BloomFilter && f.parent == l.root && f.Name == "id",
		base64: f.FHIR == "base64Binary"}}
	switch f.Type {
	case Int:
		c.fixed = 4
	case Long, Timestamp:
		c.fixed = 8
	case Decimal:
		c.fixed = 16
	case Boolean:
		c.encoding = plainAlways // all in one page, a bit each
	}
	return c
}

// reset empties the column. It keeps the memory, and what the column has learned: whether a
// dictionary pays, and what makes its pages small.
func (c *column) reset() {
	if c.encoding == plainOnce {
		c.encoding = inDictionary
	}
	switch {
	case c.isPlain():
		c.dict = nil
	case c.dict != nil:
		c.dict.reset()
	}
	c.def, c.guess = c.def[:0], nil
	c.open = openPage{index: c.open.index[:0], plain: c.open.plain[:0]}
	c.chunk = chunk{pages: c.chunk.pages[:0], hashes: c.chunk.hashes[:0]}
}

// isPlain reports whether the values to come are PLAIN-encoded.
func (c *column) isPlain() bool { return c.encoding != inDictionary }

// finish appends p, which is the open page encoded, to the finished pages and empties the open
// page. rows is how many rows of the row group the finished pages now cover.
func (c *column) finish(p page, rows int) {
	h := &c.chunk
	h.pages = append(h.pages, p)
	h.rows = rows
	h.slots += p.slots
	h.nulls += p.nulls
	if c.dict != nil {
		h.known = len(c.dict.values)
	}
	c.open.values, c.open.index, c.open.plain, c.open.settled = 0, c.open.index[:0], c.open.plain[:0], settled{}
}

// indexed reports whether any finished page has its values in the dictionary.
func (c *chunk) indexed() bool {
	return slices.ContainsFunc(c.pages, func(p page) bool { return p.encoding == format.RLEDictionary })
}

// giveUpDictionary gives up the dictionary for the open page and all that follow. Finished pages
// keep it, but only with the values that they know: others may come from a line that turns out
// not to be JSON, and must not reach the file. Indices become invalid, so call it through
// rowGroup.giveUpDictionary, which begins a new epoch.
func (c *column) giveUpDictionary(to encoding) {
	o := &c.open
	size := 0
	for _, i := range o.index {
		size += len(c.dict.encoded(uint32(i)))
	}
	o.plain = slices.Grow(o.plain, size)
	for _, i := range o.index {
		o.plain = append(o.plain, c.dict.encoded(uint32(i))...)
	}
	if c.chunk.known > 0 {
		c.dict.truncate(c.chunk.known, 0)
	}
	o.index, o.settled, c.encoding, c.guess = o.index[:0], settled{}, to, nil
}

// hardlyRepeats reports whether the open page, which is the chunk's only one, takes no more room
// without its dictionary, because its values hardly repeat, or repeat only in runs.
func (c *column) hardlyRepeats() bool {
	if c.dict.inRuns(c.open.index, 0) {
		return true
	}
	size := 0 // before compression
	for _, i := range c.open.index {
		if size += len(c.dict.encoded(uint32(i))); size > len(c.dict.plain)+dictionaryCost {
			return false
		}
	}
	return true
}
