package columnar

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/format"
)

// indexedPage is what the page index says about a data page.
type indexedPage struct {
	at     int64 // in the file
	size   int   // in the file, with its header
	row    int   // its first row, within the row group
	nulls  int
	empty  bool // it has only nulls
	bounds bounds
}

// pageIndex writes the page index, if any chunk has more than one page. For a single page it tells
// a reader nothing, and in nearly all files of a nightly run every chunk has only one.
//
// Offset indexes are written for every chunk, because arrow-rs wants all or none. Column indexes
// are written for the chunks whose statistics have bounds. resourceType has them in every row
// group: parquet-go reads no column index if the first column has none.
//
// See https://parquet.apache.org/docs/file-format/pageindex/.
func (f *fileWriter) pageIndex() {
	if !f.paged {
		return
	}
	for i := range f.groups {
		g := &f.groups[i]
		g.columnIndex, g.offsetIndex = make([]span, len(g.chunks)), make([]span, len(g.chunks))
		for j := range g.chunks {
			if d := g.chunks[j].own; d != nil && d.bounds.min != nil {
				pages := f.pagesOf(&g.chunks[j])
				index := marshal(columnIndex(f.layout.columns[j], pages))
				fixNullPages(index, len(pages))
				g.columnIndex[j] = f.writeSpan(index)
			}
		}
	}
	for i := range f.groups {
		g := &f.groups[i]
		for j := range g.chunks {
			index := new(format.OffsetIndex)
			for _, p := range f.pagesOf(&g.chunks[j]) {
				index.PageLocations = append(index.PageLocations, format.PageLocation{Offset: p.at, CompressedPageSize: int32(p.size), FirstRowIndex: int64(p.row)})
			}
			g.offsetIndex[j] = f.writeSpan(marshal(index))
		}
	}
}

// writeSpan writes an encoded index, and returns where it is.
func (f *fileWriter) writeSpan(index []byte) span {
	at := f.at
	f.write(index)
	return span{at, int32(f.at - at)}
}

// fixNullPages corrects the first field of an encoded column index, its list of booleans. In
// Thrift's compact protocol, its elements have type 1 and are 1 for true and 2 for false.
// parquet-go writes 0 for false, at which other readers fail (arrow-rs before 54.2, cuDF).
func fixNullPages(index []byte, pages int) {
	const field, short = 1, 15 // the field's header is a byte, as is that of a list of fewer than 15
	index[field] = index[field]&0xf0 | 1
	values := index[field+1:]
	if pages >= short {
		_, n := binary.Uvarint(values)
		values = values[n:]
	}
	for i, v := range values[:pages] {
		if v == 0 {
			values[i] = 2
		}
	}
}

// pagesOf returns a chunk's data pages. If there is only one, the chunk's metadata describes it.
func (f *fileWriter) pagesOf(c *chunkMeta) []indexedPage {
	d := f.detail(c)
	if d.pages != nil {
		return d.pages
	}
	size := c.size
	if d.dict > 0 {
		size -= c.at - d.dict
	}
	return []indexedPage{{at: c.at, size: int(size), nulls: int(d.nulls), empty: d.nulls == c.values, bounds: d.bounds}}
}

// columnIndex returns the column index of a chunk that has these pages.
func columnIndex(field *Field, pages []indexedPage) *format.ColumnIndex {
	index := &format.ColumnIndex{BoundaryOrder: format.Ascending}
	var last *bounds
	for i := range pages {
		p := &pages[i]
		index.NullPages = append(index.NullPages, p.empty)
		index.NullCounts = append(index.NullCounts, int64(p.nulls))
		index.MinValues = append(index.MinValues, p.bounds.min)
		index.MaxValues = append(index.MaxValues, p.bounds.max)
		if p.empty {
			continue
		}
		if last != nil && (field.compare(last.min, p.bounds.min) > 0 || field.compare(last.max, p.bounds.max) > 0) {
			index.BoundaryOrder = format.Unordered
		}
		last = &p.bounds
	}
	return index
}

// bloomBits is the minimum number of bits per value in a bloom filter. With 10, one in 100 absent
// values seems to be there.
const bloomBits = 10

// bloomFilter writes the split-block bloom filter of a chunk that has values. The chunk's pages
// must be written. The number of blocks is a power of two: the format allows any number, but
// Arrow and Impala do not.
//
// See https://parquet.apache.org/docs/file-format/bloomfilter/.
func (f *fileWriter) bloomFilter(c *column) span {
	blocks := bloom.NumSplitBlocksOf(int64(len(c.chunk.hashes)), bloomBits)
	filter := make(bloom.SplitBlockFilter, 1<<bits.Len(uint(blocks-1)))
	filter.InsertBulk(c.chunk.hashes)
	at := f.at
	f.thrift(&format.BloomFilterHeader{
		NumBytes:    int32(len(filter.Bytes())),
		Algorithm:   format.BloomFilterAlgorithm{Value: &format.SplitBlockAlgorithm{}},
		Hash:        format.BloomFilterHash{Value: &format.XxHash{}},
		Compression: format.BloomFilterCompression{Value: &format.BloomFilterUncompressed{}},
	})
	f.write(bytes.Clone(filter.Bytes()))
	return span{at, int32(f.at - at)}
}
