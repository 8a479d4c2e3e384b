package columnar

import (
	"errors"
	"hash/crc32"
	"math"
	"math/bits"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// page is a page as it stands in the file, header included.
type page struct {
	bytes    []byte // shared by the pages of columns without any value
	raw      []byte // the page uncompressed, if it is tiny and smaller that way; else nil
	size     int    // before compression, with the header
	encoding format.Encoding
	row      int // its first row, within the row group
	slots    int
	nulls    int
	bounds   bounds // of its values; see sumUp
}

// pageEncoder encodes pages. It belongs to one goroutine and serves one row group after another.
//
// Pages are version 1, which every reader knows: levels and values are compressed together.
type pageEncoder struct {
	compress       compressor
	compressBase64 compressor // for base64
	maxPage        int        // maximum bytes of a page before compression; Parquet has 32 bits for it
	strides        *strides   // nil unless pages are Zstandard frames
	other          []byte     // scratch: the same page, compressed in another way
	protocol       thrift.CompactProtocol
	raw            []byte // a page before compression
	packed         []byte // and after
	used           []bool
	nullPages      map[nullPageKey]page // of the row group that is being encoded
	err            error                // set if a page is larger than maxPage; it must not be written
}

var errLargePage = errors.New("the page of a column would have more than 2 GiB, which Parquet does not allow; " +
	"send such long lines to quarantine (max_line_mib, --max-line-mib)")

// nullPageKey is the key of the page of a column without any value. All such columns of a struct
// share one page, often dozens of them, so it pays to look for the shortest form.
//
// levels is compared by address, so a key is valid only while no slice of levels moves: within
// rowGroup.encode, which clears the cache first and gives a stream its last slots before it makes
// a key of it.
type nullPageKey struct {
	levels             *byte // the first of the page's definition levels
	slots              int
	repeats            bool // it has repetition levels
	repWidth, defWidth int  // bits of a packed level; 0 for runs alone, which are alike in any width
}

// newPageEncoder returns a pageEncoder. Codec.Check must accept the level.
func newPageEncoder(c Codec, level int) *pageEncoder {
	e := &pageEncoder{compress: newCompressor(c, level), maxPage: math.MaxInt32, nullPages: map[nullPageKey]page{}}
	e.compressBase64 = e.compress
	if c == Zstd {
		e.strides = new(strides)
		if level == 0 {
			e.compressBase64 = newCompressor(c, base64Level)
		}
	}
	return e
}

// encode makes the last pages of the columns, and their dictionary pages.
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

// slotsOf returns how many slots a leaf has in the row group. Like levels, it adds missing ones.
func (g *rowGroup) slotsOf(f *Field) int {
	def, _ := g.levels(f)
	return len(def)
}

// cutPage makes a page of a column's open page. more says that other pages of the chunk follow: a
// chunk's only page may do without a dictionary. The row must be over, so that every struct above
// the column gets all its slots.
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
	if alone && !c.isPlain() && c.open.values > 0 && c.hardlyRepeats() {
		g.giveUpDictionary(c, plainOnce)
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

// levels returns a leaf's levels from the row group's first slot on. It adds the slots that the
// leaf and the fields above it lack, so the row must be over.
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

// streamLevels returns the levels of a struct or list. It adds the slots that are missing, unless
// the field has had none of its own: then the levels are those of the struct around it.
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

// nullPage returns the page of a column without any value.
func (e *pageEncoder) nullPage(f *Field, def, rep []byte) page {
	asRuns := nullPageKey{levels: &def[0], slots: len(def), repeats: f.rep > 0}
	key := asRuns // for these widths
	key.repWidth, key.defWidth = bits.Len8(f.rep), bits.Len8(f.def)
	if p, ok := e.nullPages[key]; ok {
		return p
	}
	// Choose the shorter form for each width, so that a page does not depend on which columns share
	// it, even if a refused line has left a struct with levels of its own that are equal.
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

// runsAlone reports whether levels are shorter as runs alone, judging by the first of them.
func (e *pageEncoder) runsAlone(f *Field, def, rep []byte) bool {
	if rep == nil && run(def) == len(def) {
		return true // a single run, which is never longer that way
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

// dataPage encodes a column's open page.
func (e *pageEncoder) dataPage(f *Field, c *column, def, rep []byte) page {
	e.raw = appendLevels(e.raw[:0], f, def, rep, false)
	encoding, values := format.Plain, pageValues{}
	switch {
	case f.Type == Boolean:
		e.raw = appendBits(e.raw, c.open.plain)
	case !c.isPlain():
		encoding = format.RLEDictionary
		width := indexWidth(len(c.dict.values))
		e.raw = append(e.raw, byte(width))
		e.raw = appendIndices(e.raw, c.open.index, width)
	default:
		values = pageValues{start: len(e.raw), fixed: c.fixed, packing: &c.packing, base64: c.base64}
		e.raw = append(e.raw, c.open.plain...)
	}
	return e.page(encoding, len(def), len(def)-c.open.values, values)
}

// page makes a data page of e.raw.
func (e *pageEncoder) page(encoding format.Encoding, slots, nulls int, values pageValues) page {
	return e.finish(encoding, values, func(h *format.PageHeader) {
		h.Type = format.DataPage
		h.DataPageHeader = thrift.New(format.DataPageHeader{
			NumValues: int32(slots), Encoding: encoding,
			DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
			Statistics: format.Statistics{NullCount: int64(nulls)}, // package thrift writes it in any case
		})
	})
}

// dictionaryPage makes the page that comes before a chunk's data pages.
func (e *pageEncoder) dictionaryPage(c *column) page {
	d := c.dict
	e.raw = append(e.raw[:0], d.plain...)
	values := pageValues{fixed: c.fixed, packing: new(packing), base64: c.base64}
	return e.finish(format.Plain, values, func(h *format.PageHeader) {
		h.Type = format.DictionaryPage
		h.DictionaryPageHeader = thrift.New(format.DictionaryPageHeader{NumValues: int32(len(d.values)), Encoding: format.Plain})
	})
}

// finish compresses e.raw and puts a header before it, which kind completes.
func (e *pageEncoder) finish(encoding format.Encoding, values pageValues, kind func(*format.PageHeader)) page {
	if len(e.raw) > e.maxPage {
		e.err = errLargePage
		return page{encoding: encoding}
	}
	e.pack(values)
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

// tinyPage is the uncompressed size below which a page that compression enlarges is kept in both
// forms.
const tinyPage = 256

// withHeader returns a page as it stands in the file.
func (e *pageEncoder) withHeader(h *format.PageHeader, body []byte) []byte {
	head, err := thrift.Marshal(&e.protocol, h)
	if err != nil {
		panic(err) // a header of numbers always encodes
	}
	return append(append(make([]byte, 0, len(head)+len(body)), head...), body...)
}

// appendBits packs booleans of a byte each into bits, the first in the lowest bit.
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
