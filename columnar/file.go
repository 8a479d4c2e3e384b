package columnar

import (
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go/format"
)

// Keys of a file's key-value metadata. Nothing in it depends on the time or the data, so equal
// rows make equal files.
const (
	KeyLayout       = "fhirkiln.layout"        // r4-core/1
	KeyResourceType = "fhirkiln.resource_type" // Patient
	KeySchema       = "fhirkiln.schema.sha256" // [Layout.Hash]
	KeyFHIR         = "fhir.version"           // 4.0.1
)

const magic = "PAR1"

// fileWriter writes the row groups and the footer of a Parquet file. Several goroutines may call
// rowGroup and full.
type fileWriter struct {
	mu      sync.Mutex
	w       io.Writer
	at      int64 // bytes written
	layout  *Layout
	codec   format.CompressionCodec
	groups  []groupMeta
	paged   bool // a chunk has several pages
	omitIDs bool // leave field ids out of the schema
	rows    int64
	err     error // the first error of w
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

// rowGroup encodes and writes the rows of g, if it has any. last says that no other row group
// follows.
//
// In a file with a single row group, columns whose pages compression would enlarge, such as pages
// of nulls alone, stay uncompressed: that saves a tenth of a file of one row. In larger files, a
// column has one codec, because parquet-go reads all its chunks with the codec of the first.
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
			group.chunks[i].own.bloom = f.bloomFilter(c) // a chunk with values has its own detail
		}
	}
	f.groups = append(f.groups, group)
	f.rows += int64(g.rows)
	return f.err
}

// maxChunks is the number of column chunks at which a file is full. A footer takes about 90 bytes
// for each, and Trino reads no footer of more than 15 MB (parquet.max-footer-read-size).
const maxChunks = 100_000

// full reports whether the file has at least that many bytes, or maxChunks column chunks.
func (f *fileWriter) full(bytes int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at >= bytes || f.fullFooter()
}

// fullFooter reports whether the file has reached maxChunks. The caller must hold f.mu, or know
// that nobody writes any more.
func (f *fileWriter) fullFooter() bool { return len(f.groups)*len(f.layout.columns) >= maxChunks }

// chunk writes a column's pages, and returns what the footer says about them. alone says that the
// column has no other chunk.
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
		kept := d // most chunks have only nulls, and keep no detail
		meta.own = &kept
	}
	return meta
}

// failed says in an error what was being done to which part.
func (f *fileWriter) failed(doing string, err error) error {
	return fmt.Errorf("%s a part of %s: %w", doing, f.layout.ResourceType, err)
}

// close writes the page index and the footer.
func (f *fileWriter) close() error {
	f.pageIndex()
	return f.footer()
}
