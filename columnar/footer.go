package columnar

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/fhir"
)

// groupMeta is what the footer says about a row group. It is kept until the file ends. A part may
// have a hundred row groups of a thousand columns each, most of which hold only nulls: Parquet's
// own structures would take more memory than the rest of a Writer. They are made one row group at
// a time as the footer is written.
type groupMeta struct {
	at     int64 // in the file
	rows   int64
	chunks []chunkMeta // by column

	columnIndex, offsetIndex []span // by column, if there is a page index
}

// chunkMeta is what the footer says about a column chunk.
type chunkMeta struct {
	at     int64        // of the first data page, in the file
	values int64        // nulls included
	size   int64        // in the file
	raw    int64        // before compression
	own    *chunkDetail // nil for a single page of nulls, PLAIN and in the file's codec; see detail
}

// chunkDetail is what only few chunks need.
type chunkDetail struct {
	codec     format.CompressionCodec
	encodings []format.Encoding // of the values
	dict      int64             // of the dictionary page, in the file; 0 if there is none
	indexed   int32             // data pages with their values in the dictionary
	plain     int32             // other data pages
	nulls     int64
	bounds    bounds
	pages     []indexedPage // if there are several
	bloom     span
}

// span is a range of the file. The zero span is nowhere.
type span struct {
	at     int64
	length int32
}

// detail returns a chunk's detail, even if the chunk keeps none.
func (f *fileWriter) detail(c *chunkMeta) *chunkDetail {
	if c.own != nil {
		return c.own
	}
	return &chunkDetail{codec: f.codec, encodings: plainAlone, nulls: c.values}
}

var plainAlone = []format.Encoding{format.Plain}

// parquet makes Parquet's own structure for the nth row group, counted from 0.
func (f *fileWriter) parquet(n int) format.RowGroup {
	g := &f.groups[n]
	all := format.RowGroup{NumRows: g.rows, FileOffset: g.at, Ordinal: int16(n), Columns: make([]format.ColumnChunk, len(g.chunks))}
	for i := range g.chunks {
		c, field := &g.chunks[i], f.layout.columns[i]
		d := f.detail(c)
		to := &all.Columns[i]
		to.MetaData = format.ColumnMetaData{
			Type: field.physical(), PathInSchema: field.parquetPath(), Codec: d.codec, NumValues: c.values,
			Encoding:              d.encodings,
			TotalUncompressedSize: c.raw, TotalCompressedSize: c.size, DataPageOffset: c.at, DictionaryPageOffset: d.dict,
			Statistics:        format.Statistics{NullCount: d.nulls, MinValue: d.bounds.min, MaxValue: d.bounds.max},
			BloomFilterOffset: d.bloom.at, BloomFilterLength: d.bloom.length,
		}
		if d.nulls < c.values {
			// RLE is the encoding of the levels. That of the values stays first, because parquet-go
			// takes the first. Chunks of nulls alone omit RLE, as DuckDB's do, to keep the footer small.
			to.MetaData.Encoding = append(slices.Clone(d.encodings), format.RLE)
		}
		if d.dict > 0 && c.size >= minEncodingStats {
			// Readers that look for a value in the dictionary alone must know that it has all values.
			to.MetaData.EncodingStats = append(to.MetaData.EncodingStats,
				format.PageEncodingStats{PageType: format.DictionaryPage, Encoding: format.Plain, Count: 1},
				format.PageEncodingStats{PageType: format.DataPage, Encoding: format.RLEDictionary, Count: d.indexed})
			if d.plain > 0 {
				to.MetaData.EncodingStats = append(to.MetaData.EncodingStats, format.PageEncodingStats{PageType: format.DataPage, Encoding: format.Plain, Count: d.plain})
			}
		}
		if g.offsetIndex != nil {
			to.ColumnIndexOffset, to.ColumnIndexLength = g.columnIndex[i].at, g.columnIndex[i].length
			to.OffsetIndexOffset, to.OffsetIndexLength = g.offsetIndex[i].at, g.offsetIndex[i].length
		}
		all.TotalByteSize += c.raw
		all.TotalCompressedSize += c.size
	}
	return all
}

// The footer, a [format.FileMetaData], is written in three parts: what comes before the row
// groups, the row groups, and the rest. The fields of the rest are numbered from the row groups'
// on, because the protocol writes the number of a field as its distance from the one before.
type (
	footerHead struct {
		Version int32                              `thrift:"1,required"`
		Schema  thrift.Slice[format.SchemaElement] `thrift:"2,required"`
		NumRows int64                              `thrift:"3,required"`
	}
	footerTail struct {
		KeyValueMetadata thrift.Slice[format.KeyValue]    `thrift:"1,optional"`
		CreatedBy        string                           `thrift:"2,optional"`
		ColumnOrders     thrift.Slice[format.ColumnOrder] `thrift:"3,optional"`
	}
)

// minEncodingStats is the size of a chunk from which its encoding stats are written: from there
// on, it pays a reader to look into the dictionary first. The chunks of nightly files are smaller,
// and there the footer is a noticeable part of the file.
const minEncodingStats = 4 << 10

// createdBy names the encoder in the form that parquet-mr reads. Change it when the encoder's
// files change, so that readers can recognize the files of an encoder that had a defect.
const createdBy = "fhirkiln version 1.0.0 (build r4-core-1)"

// footer writes the footer, its size, and the magic bytes that end the file.
func (f *fileWriter) footer() error {
	all := map[string]string{KeyLayout: LayoutName, KeyResourceType: f.layout.ResourceType, KeySchema: f.layout.Hash(), KeyFHIR: fhir.R4().Version()}
	tail := footerTail{CreatedBy: createdBy, ColumnOrders: make([]format.ColumnOrder, len(f.layout.columns))}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		tail.KeyValueMetadata = append(tail.KeyValueMetadata, format.KeyValue{Key: k, Value: all[k]})
	}
	for i := range tail.ColumnOrders {
		tail.ColumnOrders[i].Value = &format.TypeDefinedOrder{}
	}
	start := f.at
	f.write(f.openHead())
	for n := range f.groups {
		f.thrift(f.parquet(n))
	}
	f.thrift(tail)
	size := f.at - start
	if size > 1<<31-1 {
		return fmt.Errorf("the footer has %d bytes, more than Parquet allows", size)
	}
	f.write(binary.LittleEndian.AppendUint32(nil, uint32(size)))
	f.write([]byte(magic))
	return f.err
}

// openHead returns the footer up to the first row group.
func (f *fileWriter) openHead() []byte {
	schema := f.layout.elements()
	if f.omitIDs {
		for i := range schema {
			schema[i].FieldID = 0
		}
	}
	b := marshal(footerHead{Version: 1, Schema: schema, NumRows: f.rows})
	to := bytes.NewBuffer(b[:len(b)-1]) // without the byte that ends a structure
	w := new(thrift.CompactProtocol).NewWriter(to)
	_ = w.WriteField(thrift.Field{ID: 1, Type: thrift.LIST, Delta: true}) // a bytes.Buffer never fails
	_ = w.WriteList(thrift.List{Size: int32(len(f.groups)), Type: thrift.STRUCT})
	return to.Bytes()
}

// thrift writes a structure.
func (f *fileWriter) thrift(v any) { f.write(marshal(v)) }

func marshal(v any) []byte {
	b, err := thrift.Marshal(new(thrift.CompactProtocol), v)
	if err != nil {
		panic(err) // numbers and bytes always encode
	}
	return b
}
