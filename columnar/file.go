package columnar

import (
	"io"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go/format"
)

// Keys of a file's key-value metadata. Nothing in it depends on the time or on the
// data, so equal rows make equal files.
const (
	KeyLayout       = "fhirkiln.layout"        // r4-core/1
	KeyResourceType = "fhirkiln.resource_type" // Patient
	KeySchema       = "fhirkiln.schema.sha256" // [Layout.Hash]
	KeyFHIR         = "fhir.version"           // 4.0.1
)

const magic = "PAR1"

// fileWriter writes row groups and the footer of a Parquet file. Row groups may come from
// several goroutines.
type fileWriter struct {
	mu      sync.Mutex
	w       io.Writer
	at      int64 // bytes written
	layout  *Layout
	codec   format.CompressionCodec
	groups  []groupMeta
	paged   bool // a chunk has several pages
	omitIDs bool // of fields, in the schema
	rows    int64
	err     error // the first of w's
}

func newFileWriter(w io.Writer, l *Layout, o *Options) *fileWriter {
	f := &fileWriter{w: w, layout: l, codec: o.Codec.parquet(), omitIDs: o.OmitFieldIDs}
	f.write([]byte(magic))
	return f
}

func (f *fileWriter) write(b []byte) {
	if f.err != nil {
		return
	}
	n, err := f.w.Write(b)
	f.at += int64(n)
	f.err = err
}

// rowGroup encodes and writes the rows of g, if it has any; last says that no other row
// group follows.
//
// Where the first is the last, columns whose pages compression would make larger, as it
// does with those of nulls alone, go without: that is a tenth of a file of one row. In
// larger files a column has one codec, since parquet-go reads all its chunks by that of
// the first.
func (f *fileWriter) rowGroup(g *rowGroup, e *pageEncoder, last bool) error {
	if g.rows == 0 {
		return nil
	}
	g.encode(e)
	if e.err != nil {
		return e.err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	alone := last && len(f.groups) == 0
	group := groupMeta{at: f.at, rows: int64(g.rows), chunks: make([]chunkMeta, len(f.layout.columns))}
	for i, field := range f.layout.columns {
		group.chunks[i] = f.chunk(&g.columns[i], field, alone)
	}
	for i := range g.columns {
		if c := &g.columns[i]; len(c.chunk.hashes) > 0 {
			group.chunks[i].own.bloom = f.bloomFilter(c) // it has values, and so its detail
		}
	}
	f.groups = append(f.groups, group)
	f.rows += int64(g.rows)
	return f.err
}

// maxChunks is from how many column chunks on a file is full. A footer says some
// 90 bytes of each, and Trino reads none of more than 15 MB (parquet.max-footer-read-size).
const maxChunks = 100_000

// full says whether a file has so many bytes, or as much in its footer as readers like.
func (f *fileWriter) full(bytes int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at >= bytes || f.fullFooter()
}

// fullFooter wants f.mu to be held, or that nobody writes any more.
func (f *fileWriter) fullFooter() bool { return len(f.groups)*len(f.layout.columns) >= maxChunks }

// chunk writes a column's pages, and returns what there is to say of them. alone says
// that the column has no other chunk.
func (f *fileWriter) chunk(c *column, field *Field, alone bool) chunkMeta {
	start := f.at
	dict := c.chunk.indexed()
	raw := alone && !dict && !slices.ContainsFunc(c.chunk.pages, func(p page) bool { return p.raw == nil })
	meta, d := chunkMeta{values: int64(c.chunk.slots)}, chunkDetail{codec: f.codec, nulls: int64(c.chunk.nulls)}
	if raw {
		d.codec = format.Uncompressed
	}
	add := func(p page) (size int) {
		b, whole := p.bytes, p.size
		if raw {
			b, whole = p.raw, len(p.raw)
		}
		f.write(b)
		meta.raw += int64(whole)
		if !slices.Contains(d.encodings, p.encoding) {
			d.encodings = append(d.encodings, p.encoding)
		}
		return len(b)
	}
	if dict {
		d.dict = f.at
		add(c.chunk.dict)
		c.sumUpDictionary(field)
	}
	meta.at = f.at
	for _, p := range c.chunk.pages {
		at := f.at
		size := add(p)
		if p.encoding == format.RLEDictionary {
			d.indexed++
		} else {
			d.plain++
		}
		if len(c.chunk.pages) > 1 {
			d.pages = append(d.pages, indexedPage{at: at, size: size, row: p.row, nulls: p.nulls, empty: p.nulls == p.slots, bounds: p.bounds})
			f.paged = true
		}
	}
	meta.size = f.at - start
	d.bounds = c.chunk.bounds
	if c.chunk.nulls < c.chunk.slots || len(c.chunk.pages) > 1 || d.codec != f.codec {
		kept := d // most chunks have nulls alone, and keep none
		meta.own = &kept
	}
	return meta
}

// close writes the page index and the footer.
func (f *fileWriter) close() error {
	f.pageIndex()
	return f.footer()
}
