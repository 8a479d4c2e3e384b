package columnar

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/parquet-go/parquet-go/bloom"
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

// pageIndex writes the page index, if any chunk has more than one page. Of a single page it
// tells a reader nothing, and in nearly all files of a nightly run chunks have one.
//
// Where pages are is written for every chunk, since arrow-rs wants all or none. What
// is in them is written for chunks whose statistics have bounds. resourceType has some,
// in every row group: parquet-go reads none if the first column has none.
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
			if d := g.chunks[j].own; d != nil && d.bounds.least != nil {
				pages := f.pagesOf(&g.chunks[j])
				index := marshal(columnIndex(f.layout.columns[j], pages))
				fixNullPages(index, len(pages))
				g.columnIndex[j] = f.spanOf(index)
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
			g.offsetIndex[j] = f.spanOf(marshal(index))
		}
	}
}

// spanOf writes what index is made of, and returns where it is.
func (f *fileWriter) spanOf(index []byte) span {
	at := f.at
	f.write(index)
	return span{at, int32(f.at - at)}
}

// fixNullPages makes the first field of a column index, its list of booleans, what Thrift's
// compact protocol has: elements of type 1 that are 1 and 2. parquet-go writes 0 for false,
// at which other readers fail (arrow-rs before 54.2, cuDF).
func fixNullPages(index []byte, pages int) {
	const field, short = 1, 15 // its header is a byte; that of a list of fewer than 15 too
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

// pagesOf is a chunk's data pages. If there is one, the chunk says all of it.
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

// bloomBits is how many bits of a bloom filter there are for a value, at least: one of 100
// values that are not there seems to be.
const bloomBits = 10

// bloomFilter writes the split-block bloom filter of a chunk whose pages are written, and
// which has values. It has a power of two of blocks: the format takes any number, Arrow and
// Impala do not.
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
