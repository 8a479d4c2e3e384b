package columnar

import (
	"slices"

	"github.com/parquet-go/parquet-go/format"
)

// column is the values of a leaf: finished pages, and behind them the open one.
type column struct {
	traits
	def      []byte      // as a stream's def, for a leaf that is not a list itself
	encoding encoding    // of values that come
	dict     *dictionary // nil before the first value, and for booleans
	guess    []byte      // dict.guess() as it is now, whose place addGuessed takes unseen; nil for none
	open     openPage
	chunk    chunk

	starts  starts  // of dates
	packing packing // of pages that are PLAIN-encoded
}

// traits are what a column has by its field and the options.
type traits struct {
	fixed   int  // bytes of a value; 0 is a BYTE_ARRAY, whose values have their length in front, or a BOOLEAN, which nothing asks that is for dictionaries or bounds
	bounded bool // statistics have bounds
	bloom   bool // it has a bloom filter
	base64  bool
}

// encoding is how a column encodes its values.
type encoding uint8

const (
	inDictionary encoding = iota
	plainOnce             // PLAIN, in this row group alone: the next one gives the dictionary another try
	plainEver             // PLAIN, in the row groups to come too; always so of booleans
)

// openPage is values that are in no page yet. Its slots and rows are those behind the chunk's.
type openPage struct {
	values  int
	index   []int32 // they, as places in the dictionary
	plain   []byte  // or PLAIN-encoded; of booleans a byte each
	trial   int     // with how many it is seen next whether the dictionary pays
	settled settled
}

// settled is what undo has found out of the first values of an open page: they are not undone any
// more.
type settled struct {
	values int
	known  int // as chunk's
	plain  int // bytes
}

// chunk is a column's finished pages.
type chunk struct {
	pages  []page
	dict   page // that comes before them, once the row group is encoded, if any wants it
	rows   int  // of the row group, that they are of
	slots  int
	nulls  int
	known  int      // how many of the dictionary's values they may have
	bounds bounds   // of their values, but for those that are in the dictionary
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
		c.encoding = plainEver // and of one page, as a bit each
	}
	return c
}

// reset empties the column. It keeps its memory, and what it has learned: whether a dictionary
// pays, and what makes its pages small.
func (c *column) reset() {
	if c.encoding == plainOnce {
		c.encoding = inDictionary
	}
	switch {
	case c.plainly():
		c.dict = nil
	case c.dict != nil:
		c.dict.reset()
	}
	c.def, c.guess = c.def[:0], nil
	c.open = openPage{index: c.open.index[:0], plain: c.open.plain[:0]}
	c.chunk = chunk{pages: c.chunk.pages[:0], hashes: c.chunk.hashes[:0]}
}

// plainly says whether values that come are PLAIN-encoded.
func (c *column) plainly() bool { return c.encoding != inDictionary }

// finish makes the open page, which is encoded as p and ends with so many rows of the row group,
// the last of the finished ones.
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

// indexed says whether a finished page has its values in the dictionary.
func (c *chunk) indexed() bool {
	return slices.ContainsFunc(c.pages, func(p page) bool { return p.encoding == format.RLEDictionary })
}

// leaveDictionary gives the dictionary up for the open page and all that follow. Pages
// before it keep it, with the values that they know: others may be of a line that is not
// JSON in the end, and have no place in a file then. Places in it are not good any more.
func (c *column) leaveDictionary(to encoding) {
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

// hardlyRepeats says whether the open page, which is the chunk's only one, takes no more room
// without its dictionary: hardly a value comes twice, or not but in a run.
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
