package columnar

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go/encoding/thrift"
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
	mu     sync.Mutex
	w      io.Writer
	at     int64 // bytes written
	layout *Layout
	codec  format.CompressionCodec
	groups []format.RowGroup
	pages  map[*format.ColumnMetaData][]indexedPage // of chunks that have several
	rows   int64
	err    error // the first of w's
}

func newFileWriter(w io.Writer, l *Layout, c Codec) *fileWriter {
	f := &fileWriter{w: w, layout: l, codec: c.parquet(), pages: map[*format.ColumnMetaData][]indexedPage{}}
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
	f.mu.Lock()
	defer f.mu.Unlock()
	alone := last && len(f.groups) == 0
	group := format.RowGroup{NumRows: int64(g.rows), FileOffset: f.at, Ordinal: int16(len(f.groups)),
		Columns: make([]format.ColumnChunk, len(f.layout.columns))}
	for i, field := range f.layout.columns {
		meta := &group.Columns[i].MetaData
		f.chunk(meta, &g.columns[i], field, alone)
		group.TotalByteSize += meta.TotalUncompressedSize
		group.TotalCompressedSize += meta.TotalCompressedSize
	}
	for i := range g.columns {
		if c := &g.columns[i]; c.bloom {
			f.bloomFilter(&group.Columns[i].MetaData, c)
		}
	}
	f.groups = append(f.groups, group)
	f.rows += int64(g.rows)
	return f.err
}

// encode makes pages of what the columns have left.
func (g *rowGroup) encode(e *pageEncoder) {
	clear(e.nulls)
	for i, field := range g.layout.columns {
		c := &g.columns[i]
		if c.values > 0 || c.slots == 0 || c.from < g.slotsOf(field) {
			g.cutPage(e, field, false)
		}
		if c.inDictionary() {
			c.dictPage = e.dictionaryPage(c.dict)
		}
	}
}

// inDictionary says whether a finished page has its values in the column's dictionary.
func (c *column) inDictionary() bool {
	return slices.ContainsFunc(c.pages, func(p page) bool { return p.encoding == format.RLEDictionary })
}

// size is how many bytes are written.
func (f *fileWriter) size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

// slotsOf is how many slots a leaf has in the row group.
func (g *rowGroup) slotsOf(f *Field) int {
	def, _ := g.levels(f)
	return len(def)
}

// chunk writes a column's pages, and what there is to say of them to meta. alone says
// that the column has no other chunk.
func (f *fileWriter) chunk(meta *format.ColumnMetaData, c *column, field *Field, alone bool) {
	start := f.at
	*meta = format.ColumnMetaData{
		Type: field.physical(), PathInSchema: field.parquetPath(), Codec: f.codec,
		NumValues: int64(c.slots),
	}
	dict := c.inDictionary()
	raw := alone && !dict && !slices.ContainsFunc(c.pages, func(p page) bool { return p.raw == nil })
	if raw {
		meta.Codec = format.Uncompressed
	}
	add := func(p page) (size int) {
		b, whole := p.bytes, p.size
		if raw {
			b, whole = p.raw, len(p.raw)
		}
		f.write(b)
		meta.TotalUncompressedSize += int64(whole)
		if !slices.Contains(meta.Encoding, p.encoding) {
			meta.Encoding = append(meta.Encoding, p.encoding)
		}
		return len(b)
	}
	if dict {
		meta.DictionaryPageOffset = f.at
		add(c.dictPage)
		c.noteDictionary(field)
	}
	meta.DataPageOffset = f.at
	for _, p := range c.pages {
		at := f.at
		size := add(p)
		if len(c.pages) > 1 {
			f.pages[meta] = append(f.pages[meta], indexedPage{at: at, size: size, row: p.row, nulls: p.nulls, empty: p.nulls == p.slots, bounds: p.bounds})
		}
	}
	meta.Encoding = append(meta.Encoding, format.RLE) // the levels'; parquet-go takes the first for the values'
	meta.TotalCompressedSize = f.at - start
	meta.Statistics = format.Statistics{NullCount: int64(c.nulls), MinValue: c.bounds.least, MaxValue: c.bounds.most}
}

// close writes the footer.
func (f *fileWriter) close(metadata map[string]string) error {
	f.pageIndex()
	all := map[string]string{KeyLayout: LayoutName, KeyResourceType: f.layout.ResourceType, KeySchema: f.layout.Hash(), KeyFHIR: "4.0.1"}
	maps.Copy(all, metadata)
	footer := format.FileMetaData{
		Version: 1, Schema: f.layout.elements(), NumRows: f.rows, RowGroups: f.groups, CreatedBy: "fhirkiln",
		ColumnOrders: make([]format.ColumnOrder, len(f.layout.columns)),
	}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		footer.KeyValueMetadata = append(footer.KeyValueMetadata, format.KeyValue{Key: k, Value: all[k]})
	}
	for i := range footer.ColumnOrders {
		footer.ColumnOrders[i].Value = &format.TypeDefinedOrder{}
	}
	if footer.RowGroups == nil {
		footer.RowGroups = []format.RowGroup{}
	}
	b, err := thrift.Marshal(new(thrift.CompactProtocol), &footer)
	if err != nil {
		return fmt.Errorf("encoding the footer: %w", err)
	}
	f.write(b)
	f.write(binary.LittleEndian.AppendUint32(nil, uint32(len(b))))
	f.write([]byte(magic))
	return f.err
}
