package columnar

import (
	"errors"
	"hash/crc32"
	"math"
	"math/bits"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// page is a page as it stands in the file, header and all.
type page struct {
	bytes    []byte // shared by the pages of columns that have no value at all
	raw      []byte // without compression, if it is so small that this may be less
	size     int    // before compression, with the header
	encoding format.Encoding
	row      int // of the row group, that it begins with
	slots    int
	nulls    int
	bounds   bounds // of its values, unless it is alone or the column has none
}

// pageEncoder encodes pages. It belongs to one goroutine and serves one row group
// after the other.
//
// Pages are version 1, which every reader knows: the levels and the values are
// compressed together.
type pageEncoder struct {
	compress  compressor
	closely   compressor // for base64
	most      int        // bytes of a page before compression: Parquet has them in 32 bits
	strides   *strides   // nil unless pages are frames of Zstandard
	other     []byte     // a page compressed in another way
	protocol  thrift.CompactProtocol
	raw       []byte // a page before compression
	packed    []byte // and after
	used      []bool
	nullPages map[nullPageKey]page // of the row group that is being encoded
	err       error                // of a page that is larger than most; it is not to be written
}

var errLargePage = errors.New("the page of a column would have more than 2 GiB, which Parquet cannot say; " +
	"let lines that are so long go to quarantine (max_line_mib, --max-line-mib)")

// nullPageKey is the key of the page of a column without any value: all such columns of
// a struct share one, often dozens, so that it pays to look for the shortest. levels is
// compared by address, so that a key is good only while no level slice moves: within
// rowGroup.encode, which clears the cache first. There a stream gets its last slots before a key
// is made of it.
type nullPageKey struct {
	levels             *byte // the first of the definition levels that it has
	slots              int
	repeats            bool // it has repetition levels
	repWidth, defWidth int  // bits of a packed level; 0 where levels are runs alone, which are the same for all
}

// newPageEncoder takes a level that Codec.Check has passed.
func newPageEncoder(c Codec, level int) *pageEncoder {
	e := &pageEncoder{compress: newCompressor(c, level), most: math.MaxInt32, nullPages: map[nullPageKey]page{}}
	e.closely = e.compress
	if c == Zstd {
		e.strides = new(strides)
		if level == 0 {
			e.closely = newCompressor(c, base64Level)
		}
	}
	return e
}

// encode makes pages of what the columns have left.
func (g *rowGroup) encode(e *pageEncoder) {
	clear(e.nullPages)
	for i, field := range g.layout.columns {
		c := &g.columns[i]
		if c.open.values > 0 || c.chunk.slots == 0 || c.chunk.slots < g.slotsOf(field) {
			g.cutPage(e, field, false)
		}
		if c.chunk.indexed() {
			c.chunk.dict = e.dictionaryPage(c)
		}
	}
}

// slotsOf is how many slots a leaf has in the row group. It gets those that it lacks, as in levels.
func (g *rowGroup) slotsOf(f *Field) int {
	def, _ := g.levels(f)
	return len(def)
}

// cutPage makes a page of a column's open one; more says that others of its chunk follow. A
// chunk's only page need not have a dictionary. The row must be over, so that every struct above
// gets all its slots.
func (g *rowGroup) cutPage(e *pageEncoder, f *Field, more bool) {
	c := &g.columns[f.column]
	def, rep := g.levels(f)
	def = def[c.chunk.slots:]
	if f.rep > 0 {
		rep = rep[c.chunk.slots:]
	} else {
		rep = nil
	}
	alone := !more && len(c.chunk.pages) == 0
	if alone && !c.plainly() && c.open.values > 0 && c.hardlyRepeats() {
		g.leaveDictionary(c, plainOnce)
	}
	var p page
	if c.open.values == 0 {
		p = e.nullPage(f, def, rep)
	} else {
		p = e.dataPage(f, c, def, rep)
	}
	p.row, p.slots, p.nulls = c.chunk.rows, len(def), len(def)-c.open.values
	p.bounds = e.sumUp(f, c, alone)
	c.finish(p, g.rows)
	g.finished += len(p.bytes)
}

// levels are a leaf's levels from the row group's first slot on. It gives the leaf and all
// above it the slots that they lack, so the row must be over.
func (g *rowGroup) levels(f *Field) (def, rep []byte) {
	if f.List {
		return g.streamLevels(f)
	}
	c := &g.columns[f.column]
	def, rep = g.streamLevels(f.parent)
	if len(c.def) == 0 {
		return def, rep
	}
	c.def = append(c.def, def[len(c.def):]...)
	return c.def, rep
}

// streamLevels are the levels of a struct or list, which ends up with all its slots
// unless it has none of its own.
func (g *rowGroup) streamLevels(f *Field) (def, rep []byte) {
	s := &g.streams[f.stream]
	if f.parent == nil {
		return s.def, s.rep
	}
	def, rep = g.streamLevels(f.parent)
	if s.seen == 0 {
		return def, rep
	}
	g.catchUp(f, 0)
	if f.List {
		rep = s.rep
	}
	return s.def, rep
}

func (e *pageEncoder) nullPage(f *Field, def, rep []byte) page {
	asRuns := nullPageKey{levels: &def[0], slots: len(def), repeats: f.rep > 0}
	key := asRuns // of this width
	key.repWidth, key.defWidth = bits.Len8(f.rep), bits.Len8(f.def)
	if p, ok := e.nullPages[key]; ok {
		return p
	}
	// What is shorter is found for each width: a page is then the same whichever columns share
	// it, also where a refused line has left a struct with levels of its own that are equal.
	runsAlone := e.runsAlone(f, def, rep)
	p, known := e.nullPages[asRuns]
	if !known || !runsAlone {
		e.raw = appendLevels(e.raw[:0], f, def, rep, runsAlone)
		p = e.page(format.Plain, len(def), len(def), pageValues{})
	}
	if e.nullPages[key] = p; runsAlone {
		e.nullPages[asRuns] = p
	}
	return p
}

// runsAlone says whether levels are shorter as runs alone, by the first of them.
func (e *pageEncoder) runsAlone(f *Field, def, rep []byte) bool {
	if rep == nil && run(def) == len(def) {
		return true // it is one, and never longer so
	}
	const sample = 16 << 10
	n := min(len(def), sample)
	if def = def[:n]; rep != nil {
		rep = rep[:n]
	}
	size := func(runsAlone bool) int {
		e.raw = appendLevels(e.raw[:0], f, def, rep, runsAlone)
		e.packed = e.compress(e.packed[:0], e.raw)
		return len(e.packed)
	}
	return size(true) < size(false)
}

func (e *pageEncoder) dataPage(f *Field, c *column, def, rep []byte) page {
	e.raw = appendLevels(e.raw[:0], f, def, rep, false)
	encoding, of := format.Plain, pageValues{}
	switch {
	case f.Type == Boolean:
		e.raw = appendBits(e.raw, c.open.plain)
	case !c.plainly():
		encoding = format.RLEDictionary
		width := indexWidth(len(c.dict.values))
		e.raw = append(e.raw, byte(width))
		e.raw = appendIndices(e.raw, c.open.index, width)
	default:
		of = pageValues{start: len(e.raw), fixed: c.fixed, packing: &c.packing, base64: c.base64}
		e.raw = append(e.raw, c.open.plain...)
	}
	return e.page(encoding, len(def), len(def)-c.open.values, of)
}

// page compresses e.raw and puts a header before it.
func (e *pageEncoder) page(encoding format.Encoding, slots, nulls int, of pageValues) page {
	return e.finish(encoding, of, func(h *format.PageHeader) {
		h.Type = format.DataPage
		h.DataPageHeader = thrift.New(format.DataPageHeader{
			NumValues: int32(slots), Encoding: encoding,
			DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
			Statistics: format.Statistics{NullCount: int64(nulls)}, // package thrift writes one in any case
		})
	})
}

// dictionaryPage is the page that comes before a chunk's data pages.
func (e *pageEncoder) dictionaryPage(c *column) page {
	d := c.dict
	e.raw = append(e.raw[:0], d.plain...)
	of := pageValues{fixed: c.fixed, packing: new(packing), base64: c.base64}
	return e.finish(format.Plain, of, func(h *format.PageHeader) {
		h.Type = format.DictionaryPage
		h.DictionaryPageHeader = thrift.New(format.DictionaryPageHeader{NumValues: int32(len(d.values)), Encoding: format.Plain})
	})
}

func (e *pageEncoder) finish(encoding format.Encoding, of pageValues, kind func(*format.PageHeader)) page {
	if len(e.raw) > e.most {
		e.err = errLargePage
		return page{encoding: encoding}
	}
	e.pack(of)
	compressed := e.packed
	header := format.PageHeader{
		UncompressedPageSize: int32(len(e.raw)),
		CompressedPageSize:   int32(len(compressed)),
		CRC:                  int32(crc32.ChecksumIEEE(compressed)),
	}
	kind(&header)
	p := page{encoding: encoding, bytes: e.withHeader(&header, compressed)}
	p.size = len(p.bytes) - len(compressed) + len(e.raw)
	if len(e.raw) < len(compressed) && len(e.raw) < tinyPage {
		header.CompressedPageSize = int32(len(e.raw))
		header.CRC = int32(crc32.ChecksumIEEE(e.raw))
		p.raw = e.withHeader(&header, e.raw)
	}
	return p
}

// tinyPage is the size below which a page is kept in both forms.
const tinyPage = 256

// withHeader is a page as it stands in the file.
func (e *pageEncoder) withHeader(h *format.PageHeader, body []byte) []byte {
	head, err := thrift.Marshal(&e.protocol, h)
	if err != nil {
		panic(err) // a header of numbers always encodes
	}
	return append(append(make([]byte, 0, len(head)+len(body)), head...), body...)
}

// appendBits packs booleans of a byte each, the first in the lowest bit.
func appendBits(to, bools []byte) []byte {
	for len(bools) > 0 {
		var b byte
		n := min(8, len(bools))
		for i, v := range bools[:n] {
			b |= v << i
		}
		to, bools = append(to, b), bools[n:]
	}
	return to
}
