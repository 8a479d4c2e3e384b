package columnar

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"

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

// fileWriter writes row groups and the footer of a Parquet file.
type fileWriter struct {
	w      io.Writer
	at     int64 // bytes written
	layout *Layout
	groups []format.RowGroup
	rows   int64
	err    error // the first of w's
}

func newFileWriter(w io.Writer, l *Layout) *fileWriter {
	f := &fileWriter{w: w, layout: l}
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

// rowGroup encodes and writes the rows of g, if it has any.
func (f *fileWriter) rowGroup(g *rowGroup, e *pageEncoder) error {
	if g.rows == 0 {
		return f.err
	}
	clear(e.nulls)
	group := format.RowGroup{NumRows: int64(g.rows), FileOffset: f.at, Ordinal: int16(len(f.groups)),
		Columns: make([]format.ColumnChunk, len(f.layout.columns))}
	for i, field := range f.layout.columns {
		c := &g.columns[i]
		if c.values > 0 || c.slots == 0 || c.from < g.slotsOf(field) {
			g.cutPage(e, field)
		}
		group.Columns[i] = f.chunk(c, field, e)
		meta := &group.Columns[i].MetaData
		group.TotalByteSize += meta.TotalUncompressedSize
		group.TotalCompressedSize += meta.TotalCompressedSize
	}
	f.groups = append(f.groups, group)
	f.rows += int64(g.rows)
	return f.err
}

// slotsOf is how many slots a leaf has in the row group.
func (g *rowGroup) slotsOf(f *Field) int {
	def, _ := g.levels(f)
	return len(def)
}

// chunk writes a column's pages.
func (f *fileWriter) chunk(c *column, field *Field, e *pageEncoder) format.ColumnChunk {
	start := f.at
	meta := format.ColumnMetaData{
		Type: field.physical(), PathInSchema: field.parquetPath(), Codec: format.Zstd,
		NumValues: int64(c.slots),
	}
	add := func(p page) {
		f.write(p.bytes)
		meta.TotalUncompressedSize += int64(p.size)
		if !slices.Contains(meta.Encoding, p.encoding) {
			meta.Encoding = append(meta.Encoding, p.encoding)
		}
	}
	if slices.ContainsFunc(c.pages, func(p page) bool { return p.encoding == format.RLEDictionary }) {
		meta.DictionaryPageOffset = f.at
		add(e.dictionaryPage(c.dict))
		c.noteDictionary(field)
	}
	meta.DataPageOffset = f.at
	for _, p := range c.pages {
		add(p)
	}
	meta.Encoding = append(meta.Encoding, format.RLE) // the levels'; parquet-go takes the first for the values'
	meta.TotalCompressedSize = f.at - start
	meta.Statistics = format.Statistics{NullCount: int64(c.nulls), MinValue: c.least, MaxValue: c.most}
	return format.ColumnChunk{MetaData: meta, FileOffset: 0}
}

// close writes the footer.
func (f *fileWriter) close(metadata map[string]string) error {
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
