package columnar

import (
	"bytes"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// indexedPage is what the page index says of a data page.
type indexedPage struct {
	at     int64 // in the file
	size   int   // in the file, with its header
	row    int   // of the row group, that it begins with
	nulls  int
	empty  bool // it has nulls alone
	bounds bounds
}

// pageIndex writes the page index, if any chunk has more than one page: where there is
// one, a reader learns nothing from it, and nearly all the files of a nightly run are of
// that sort.
//
// Where pages are is written for every chunk, since arrow-rs wants all or none. What
// is in them is written for chunks whose statistics have bounds. resourceType has some,
// in every row group: parquet-go reads none if the first column has none.
//
// See https://parquet.apache.org/docs/file-format/pageindex/.
func (f *fileWriter) pageIndex() {
	if len(f.pages) == 0 {
		return
	}
	each := func(write func(chunk *format.ColumnChunk, field *Field, pages []indexedPage)) {
		for i := range f.groups {
			for j := range f.groups[i].Columns {
				chunk := &f.groups[i].Columns[j]
				write(chunk, f.layout.columns[j], f.pagesOf(&chunk.MetaData))
			}
		}
	}
	each(func(chunk *format.ColumnChunk, field *Field, pages []indexedPage) {
		if chunk.MetaData.Statistics.MinValue != nil {
			chunk.ColumnIndexOffset = f.at
			f.thrift(columnIndex(field, pages))
			chunk.ColumnIndexLength = int32(f.at - chunk.ColumnIndexOffset)
		}
	})
	each(func(chunk *format.ColumnChunk, _ *Field, pages []indexedPage) {
		index := new(format.OffsetIndex)
		for _, p := range pages {
			index.PageLocations = append(index.PageLocations, format.PageLocation{Offset: p.at, CompressedPageSize: int32(p.size), FirstRowIndex: int64(p.row)})
		}
		chunk.OffsetIndexOffset = f.at
		f.thrift(index)
		chunk.OffsetIndexLength = int32(f.at - chunk.OffsetIndexOffset)
	})
}

// pagesOf is a chunk's data pages. If there is one, the chunk says all of it.
func (f *fileWriter) pagesOf(m *format.ColumnMetaData) []indexedPage {
	if pages := f.pages[m]; pages != nil {
		return pages
	}
	size := m.TotalCompressedSize
	if m.DictionaryPageOffset > 0 {
		size -= m.DataPageOffset - m.DictionaryPageOffset
	}
	return []indexedPage{{at: m.DataPageOffset, size: int(size), nulls: int(m.Statistics.NullCount), empty: m.Statistics.NullCount == m.NumValues,
		bounds: bounds{least: m.Statistics.MinValue, most: m.Statistics.MaxValue}}}
}

// columnIndex is what is in a chunk's pages.
func columnIndex(field *Field, pages []indexedPage) *format.ColumnIndex {
	index := &format.ColumnIndex{BoundaryOrder: format.Ascending}
	var last *bounds
	for i := range pages {
		p := &pages[i]
		index.NullPages = append(index.NullPages, p.empty)
		index.NullCounts = append(index.NullCounts, int64(p.nulls))
		index.MinValues = append(index.MinValues, p.bounds.least)
		index.MaxValues = append(index.MaxValues, p.bounds.most)
		if p.empty {
			continue
		}
		if last != nil && (field.compare(last.least, p.bounds.least) > 0 || field.compare(last.most, p.bounds.most) > 0) {
			index.BoundaryOrder = format.Unordered
		}
		last = &p.bounds
	}
	return index
}

// bloomBits is how many bits of a bloom filter there are for a value: one of 100 values
// that are not there seems to be.
const bloomBits = 10

// bloomFilter writes the split-block bloom filter of a chunk whose pages are written.
//
// See https://parquet.apache.org/docs/file-format/bloomfilter/.
func (f *fileWriter) bloomFilter(m *format.ColumnMetaData, c *column) {
	if len(c.hashes) == 0 {
		return
	}
	filter := make(bloom.SplitBlockFilter, bloom.NumSplitBlocksOf(int64(len(c.hashes)), bloomBits))
	filter.InsertBulk(c.hashes)
	m.BloomFilterOffset = f.at
	f.thrift(&format.BloomFilterHeader{
		NumBytes:    int32(len(filter.Bytes())),
		Algorithm:   format.BloomFilterAlgorithm{Value: &format.SplitBlockAlgorithm{}},
		Hash:        format.BloomFilterHash{Value: &format.XxHash{}},
		Compression: format.BloomFilterCompression{Value: &format.BloomFilterUncompressed{}},
	})
	f.write(bytes.Clone(filter.Bytes()))
	m.BloomFilterLength = int32(f.at - m.BloomFilterOffset)
}

// thrift writes a structure of the footer.
func (f *fileWriter) thrift(v any) {
	b, err := thrift.Marshal(new(thrift.CompactProtocol), v)
	if err != nil {
		panic(err) // numbers and bytes always encode
	}
	f.write(b)
}
