package columnar_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/columnar"
)

// check checks everything in a part: its bytes, pages, levels, values and statistics. What it
// expects comes from Parquet's specification, not from the package.
func check(t failer, p finishedPart) {
	t.Helper()
	f := open(t, p)
	meta := f.Metadata()
	if meta.NumRows != p.Rows || p.Rows == 0 {
		t.Errorf("the footer of %s says %d rows, not %d", p.ResourceType, meta.NumRows, p.Rows)
	}
	hash, _ := f.Lookup(columnar.KeySchema)
	if want := columnar.LayoutOf(p.ResourceType).Hash(); hash != want {
		t.Errorf("%s has the schema hash %s, not %s", p.ResourceType, hash, want)
	}
	at, rows := int64(len("PAR1")), int64(0)
	for i := range meta.RowGroups {
		g := &meta.RowGroups[i]
		if g.FileOffset != at || int(g.Ordinal) != i {
			t.Errorf("row group %d is number %d and begins at %d, not %d", i, g.Ordinal, g.FileOffset, at)
		}
		rows += g.NumRows
		var compressed, uncompressed int64
		for j := range g.Columns {
			m := &g.Columns[j].MetaData
			name := fmt.Sprintf("row group %d, %s", i, strings.Join(m.PathInSchema, "."))
			at = checkPages(t, name, p.parquet, at, m)
			compressed += m.TotalCompressedSize
			uncompressed += m.TotalUncompressedSize
		}
		for j := range g.Columns {
			at = checkBloomFilterPlace(t, p.parquet, &g.Columns[j].MetaData, at)
		}
		if g.TotalCompressedSize != compressed || g.TotalByteSize != uncompressed {
			t.Errorf("row group %d says %d of %d bytes, its columns %d of %d", i, g.TotalCompressedSize, g.TotalByteSize, compressed, uncompressed)
		}
		checkValues(t, f, i)
	}
	if rows != meta.NumRows {
		t.Errorf("the row groups have %d rows, the file %d", rows, meta.NumRows)
	}
	footer := int64(binary.LittleEndian.Uint32(p.parquet[len(p.parquet)-8:]))
	if at = checkIndexPlace(t, p.parquet, meta, at); at+footer+8 != int64(len(p.parquet)) {
		t.Errorf("the columns and their index end at %d, and the footer begins at %d", at, int64(len(p.parquet))-footer-8)
	}
}

// checkPages walks the pages of a column chunk that begins at offset at of the file. It returns
// where the chunk ends.
func checkPages(t failer, name string, file []byte, at int64, m *format.ColumnMetaData) int64 {
	t.Helper()
	start, end := at, at+m.TotalCompressedSize
	var values, nulls, uncompressed int64
	var encodings []format.Encoding
	pages := map[format.PageEncodingStats]int32{} // counts; Count itself is left out of the keys
	for first := true; at < end; first = false {
		header, size := pageHeader(t, file[at:end])
		body := file[at+size : at+size+int64(header.CompressedPageSize)]
		if uint32(header.CRC) != crc32.ChecksumIEEE(body) {
			t.Errorf("%s: a page has the checksum %08x, not %08x", name, crc32.ChecksumIEEE(body), uint32(header.CRC))
		}
		raw, err := uncompress(m.Codec, body)
		if err != nil || len(raw) != int(header.UncompressedPageSize) {
			t.Errorf("%s: a page has %d bytes, not %d: %v", name, len(raw), header.UncompressedPageSize, err)
		}
		encoding := header.DataPageHeader.V.Encoding
		switch header.Type {
		case format.DictionaryPage:
			if !first || m.DictionaryPageOffset != at {
				t.Errorf("%s: there is a dictionary at %d, and the chunk's is at %d", name, at, m.DictionaryPageOffset)
			}
			encoding = header.DictionaryPageHeader.V.Encoding
		case format.DataPage:
			if values == 0 && m.DataPageOffset != at {
				t.Errorf("%s: the first data page is at %d, not %d", name, at, m.DataPageOffset)
			}
			if header.DataPageHeader.V.NumValues == 0 {
				t.Errorf("%s: a page is empty", name)
			}
			values += int64(header.DataPageHeader.V.NumValues)
			if s := header.DataPageHeader.V.Statistics; s.MinValue != nil || s.MaxValue != nil || s.Min != nil || s.Max != nil {
				t.Errorf("%s: a page's header has bounds, which are the page index's alone", name)
			}
			nulls += header.DataPageHeader.V.Statistics.NullCount
		default:
			t.Errorf("%s: there is a page of type %v", name, header.Type)
		}
		if !slices.Contains(encodings, encoding) {
			encodings = append(encodings, encoding)
		}
		pages[format.PageEncodingStats{PageType: header.Type, Encoding: encoding}]++
		at += size + int64(header.CompressedPageSize)
		uncompressed += size + int64(header.UncompressedPageSize)
	}
	if at != end || start == end {
		t.Errorf("%s: the pages end at %d, the chunk at %d", name, at, end)
	}
	if values != m.NumValues || uncompressed != m.TotalUncompressedSize || nulls != m.Statistics.NullCount {
		t.Errorf("%s: %d values, %d nulls, %d bytes in pages; the chunk says %d, %d, %d",
			name, values, nulls, uncompressed, m.NumValues, m.Statistics.NullCount, m.TotalUncompressedSize)
	}
	if nulls < values {
		encodings = append(encodings, format.RLE)
	}
	if !slices.Equal(encodings, m.Encoding) {
		t.Errorf("%s: the pages have encodings %v, the chunk says %v", name, encodings, m.Encoding)
	}
	said := map[format.PageEncodingStats]int32{}
	for _, s := range m.EncodingStats {
		said[format.PageEncodingStats{PageType: s.PageType, Encoding: s.Encoding}] += s.Count
	}
	if m.DictionaryPageOffset > 0 && (len(said) > 0 || m.TotalCompressedSize >= 4<<10) && !maps.Equal(pages, said) {
		t.Errorf("%s: the pages are %v, the chunk says %v", name, pages, said)
	}
	return end
}

var unzstd, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0))

func uncompress(c format.CompressionCodec, b []byte) ([]byte, error) {
	switch c {
	case format.Zstd:
		return unzstd.DecodeAll(b, nil)
	case format.Snappy:
		return snappy.Decode(nil, b)
	case format.Gzip:
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case format.Uncompressed:
		return b, nil
	}
	return nil, fmt.Errorf("the codec %v is not checked here", c)
}

// pageHeader returns the page header that b begins with, and its size.
func pageHeader(t failer, b []byte) (*format.PageHeader, int64) {
	t.Helper()
	r := bytes.NewReader(b)
	header := new(format.PageHeader)
	if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(struct{ io.Reader }{r})).Decode(header); err != nil {
		t.Fatalf("reading a page header: %v", err)
	}
	// The reader may read ahead, so the header's size is found by encoding it again.
	again, err := thrift.Marshal(new(thrift.CompactProtocol), header)
	if err != nil || !bytes.HasPrefix(b, again) {
		t.Fatalf("a page header is not what it says: %v", err)
	}
	return header, int64(len(again))
}

// checkValues reads and checks the values of a row group.
func checkValues(t failer, f *parquet.File, group int) {
	t.Helper()
	g := f.RowGroups()[group]
	columns := make([][]parquet.Value, len(g.ColumnChunks()))
	pages := make([][][]parquet.Value, len(columns))
	for i, chunk := range g.ColumnChunks() {
		pages[i] = chunkPages(t, chunk, g.NumRows())
		columns[i] = slices.Concat(pages[i]...)
	}
	checkLevels(t, f.Root(), columns)
	identifying := identifyingColumns(columnar.LayoutOf(f.Root().Name()))
	walkLeaves(f.Root(), func(c *parquet.Column) {
		chunk := &f.Metadata().RowGroups[group].Columns[c.Index()]
		checkStatistics(t, c, columns[c.Index()], &chunk.MetaData, identifying[c.Index()])
		checkPageIndex(t, f, group, c, pages[c.Index()])
	})
}

// chunkPages reads a column chunk page by page.
func chunkPages(t failer, chunk parquet.ColumnChunk, rows int64) (all [][]parquet.Value) {
	t.Helper()
	var begun int64
	pages := chunk.Pages()
	defer pages.Close()
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("column %d: %v", chunk.Column(), err)
		}
		some := make([]parquet.Value, page.NumValues())
		n, err := page.Values().ReadValues(some)
		if n != len(some) || err != nil && err != io.EOF {
			t.Fatalf("column %d: %d values of %d, %v", chunk.Column(), n, len(some), err)
		}
		if some[0].RepetitionLevel() != 0 {
			t.Errorf("column %d: a page begins within a row", chunk.Column())
		}
		var values []parquet.Value
		for _, v := range some {
			if v.RepetitionLevel() == 0 {
				begun++
			}
			values = append(values, v.Clone())
		}
		all = append(all, values)
		parquet.Release(page)
	}
	if begun != rows {
		t.Errorf("column %d has %d rows, not %d", chunk.Column(), begun, rows)
	}
	return all
}

// level is what an entry of a column says about one of the structs and lists above it.
type level struct{ rep, def int }

// checkLevels checks that all leaves below a node say the same about it. It returns what they say.
func checkLevels(t failer, node *parquet.Column, columns [][]parquet.Value) []level {
	t.Helper()
	var first []level
	var from string
	if node.Leaf() {
		for _, v := range columns[node.Index()] {
			if v.RepetitionLevel() > node.MaxRepetitionLevel() || v.DefinitionLevel() > node.MaxDefinitionLevel() {
				t.Fatalf("%v has levels %d and %d", node.Path(), v.RepetitionLevel(), v.DefinitionLevel())
			}
			if v.IsNull() != (v.DefinitionLevel() < node.MaxDefinitionLevel()) {
				t.Fatalf("%v has %v at level %d", node.Path(), v, v.DefinitionLevel())
			}
			if v.Kind() == parquet.ByteArray && !utf8.Valid(v.ByteArray()) {
				t.Errorf("%v has a text that is not UTF-8: %q", node.Path(), v.ByteArray())
			}
			first = append(first, level{v.RepetitionLevel(), v.DefinitionLevel()})
		}
		return first
	}
	for _, child := range node.Columns() {
		var seen []level
		for _, l := range checkLevels(t, child, columns) {
			if l.rep <= node.MaxRepetitionLevel() {
				seen = append(seen, level{l.rep, min(l.def, node.MaxDefinitionLevel())})
			}
		}
		if first == nil {
			first, from = seen, child.Name()
		} else if !slices.Equal(first, seen) {
			t.Errorf("%v: the columns below %s and %s do not say the same of it", node.Path(), from, child.Name())
		}
	}
	return first
}

func walkLeaves(node *parquet.Column, f func(*parquet.Column)) {
	if node.Leaf() {
		f(node)
	}
	for _, child := range node.Columns() {
		walkLeaves(child, f)
	}
}
