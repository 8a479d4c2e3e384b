package columnar_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/columnar"
)

// checkIndexPlace checks that the page index begins at an offset of the file, that it is
// there for all chunks or none, and returns its end.
func checkIndexPlace(t failer, file []byte, meta *format.FileMetaData, at int64) int64 {
	t.Helper()
	for i, g := range meta.RowGroups {
		for _, c := range g.Columns {
			bounded := c.MetaData.Statistics.MinValue != nil
			if c.ColumnIndexOffset == 0 && c.ColumnIndexLength == 0 && (!bounded || c.OffsetIndexOffset == 0) {
				continue
			}
			if c.ColumnIndexOffset != at || c.ColumnIndexLength <= 0 || !bounded {
				t.Errorf("row group %d, %v: the column index is at %d, not %d, and has %d bytes", i, c.MetaData.PathInSchema, c.ColumnIndexOffset, at, c.ColumnIndexLength)
			}
			checkBooleans(t, file[at:])
			at += int64(c.ColumnIndexLength)
		}
	}
	want := len(meta.RowGroups) > 0 && meta.RowGroups[0].Columns[0].OffsetIndexOffset > 0
	for i, g := range meta.RowGroups {
		for _, c := range g.Columns {
			if !want && c.OffsetIndexOffset == 0 && c.OffsetIndexLength == 0 {
				continue
			}
			if c.OffsetIndexOffset != at || c.OffsetIndexLength <= 0 {
				t.Errorf("row group %d, %v: the offset index is at %d, not %d, and has %d bytes", i, c.MetaData.PathInSchema, c.OffsetIndexOffset, at, c.OffsetIndexLength)
			}
			at += int64(c.OffsetIndexLength)
		}
	}
	return at
}

// checkBloomFilterPlace checks that a chunk's bloom filter, if it has one, is at an
// offset of the file, and returns its end.
func checkBloomFilterPlace(t failer, file []byte, m *format.ColumnMetaData, at int64) int64 {
	t.Helper()
	if m.BloomFilterOffset == 0 && m.BloomFilterLength == 0 {
		return at
	}
	if m.BloomFilterOffset != at || m.BloomFilterLength < 32 {
		t.Errorf("%v: the bloom filter is at %d, not %d, and has %d bytes", m.PathInSchema, m.BloomFilterOffset, at, m.BloomFilterLength)
	}
	var header format.BloomFilterHeader
	err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(bytes.NewReader(file[at:]))).Decode(&header)
	if err != nil || bits.OnesCount32(uint32(header.NumBytes)) != 1 {
		t.Errorf("%v: the bloom filter has %d bytes, which is no power of two: %v", m.PathInSchema, header.NumBytes, err)
	}
	return at + int64(m.BloomFilterLength)
}

// checkBooleans checks the list that a column index begins with as those readers do that hold
// to Thrift's specification.
func checkBooleans(t failer, index []byte) {
	t.Helper()
	if index[0] != 1<<4|9 || index[1]&15 != 1 {
		t.Errorf("a column index begins with %x, no list of booleans", index[:2])
	}
	n, values := int(index[1]>>4), index[2:]
	if n == 15 {
		long, size := binary.Uvarint(values)
		n, values = int(long), values[size:]
	}
	for i, v := range values[:n] {
		if v != 1 && v != 2 {
			t.Errorf("boolean %d of a column index is %d", i, v)
		}
	}
}

// checkPageIndex compares what the page index says of a chunk with its pages.
func checkPageIndex(t failer, f *parquet.File, group int, c *parquet.Column, pages [][]parquet.Value) {
	t.Helper()
	chunk := f.Metadata().RowGroups[group].Columns[c.Index()]
	if chunk.OffsetIndexOffset == 0 {
		if len(pages) > 1 {
			t.Errorf("%v has %d pages and no index", c.Path(), len(pages))
		}
		return
	}
	columns := len(f.Metadata().RowGroups[group].Columns)
	offsets := f.OffsetIndexes()[group*columns+c.Index()]
	if len(offsets.PageLocations) != len(pages) {
		t.Fatalf("%v has %d pages, its index %d", c.Path(), len(pages), len(offsets.PageLocations))
	}
	at, row := chunk.MetaData.DataPageOffset, int64(0)
	for i, l := range offsets.PageLocations {
		if l.Offset != at || l.FirstRowIndex != row {
			t.Errorf("%v: page %d is at %d and begins with row %d; the index says %d and %d", c.Path(), i, at, row, l.Offset, l.FirstRowIndex)
		}
		at += int64(l.CompressedPageSize)
		for _, v := range pages[i] {
			if v.RepetitionLevel() == 0 {
				row++
			}
		}
	}
	start := chunk.MetaData.DataPageOffset
	if chunk.MetaData.DictionaryPageOffset > 0 {
		start = chunk.MetaData.DictionaryPageOffset
	}
	if end := start + chunk.MetaData.TotalCompressedSize; at != end {
		t.Errorf("%v: by its index its pages end at %d, not %d", c.Path(), at, end)
	}
	if chunk.ColumnIndexOffset == 0 {
		return
	}
	index := f.ColumnIndexes()[group*columns+c.Index()]
	if len(index.NullPages) != len(pages) || len(index.NullCounts) != len(pages) || len(index.MinValues) != len(pages) || len(index.MaxValues) != len(pages) {
		t.Fatalf("%v: the column index does not have %d pages", c.Path(), len(pages))
	}
	var before []parquet.Value
	for i, page := range pages {
		minValue, maxValue, nulls := extremes(page)
		if index.NullPages[i] != minValue.IsNull() || index.NullCounts[i] != nulls {
			t.Errorf("%v, page %d: %d nulls; the index says %d, and %v", c.Path(), i, nulls, index.NullCounts[i], index.NullPages[i])
		}
		if minValue.IsNull() {
			continue
		}
		if !bytes.Equal(index.MinValues[i], minValue.Bytes()) || !bytes.Equal(index.MaxValues[i], maxValue.Bytes()) {
			t.Errorf("%v, page %d: the index says %x to %x, the values are from %x to %x", c.Path(), i, index.MinValues[i], index.MaxValues[i], minValue.Bytes(), maxValue.Bytes())
		}
		if before != nil && index.BoundaryOrder == format.Ascending && (order(before[0], minValue) > 0 || order(before[1], maxValue) > 0) {
			t.Errorf("%v: the pages do not ascend", c.Path())
		}
		before = []parquet.Value{minValue, maxValue}
	}
}

// indexLines are Observations whose columns have several pages: numbers of both signs,
// texts, some that come seldom, codes that repeat.
func indexLines(n int) []string {
	var lines []string
	for i := range n {
		more := ""
		if i > n/3 && i < n/2 {
			more = fmt.Sprintf(`,"valueInteger":%d`, i-n/3-500)
		}
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Observation","id":"id-%d","status":"%s","effectiveDateTime":"20%02d-01-01","valueQuantity":{"value":%d.%d},`+
			`"component":[{"valueQuantity":{"value":%d}},{},{"valueQuantity":{"value":%d.5}}],"text":{"status":"%s","div":"%s"}%s}`,
			i, []string{"final", "amended"}[i%2], i%100, i%300-150, i, i-n/2, -i, strings.Repeat("x", i%2*300), strings.Repeat("y", i%20), more))
	}
	return lines
}

// Chunks of several pages have an index that is right, and rows are found by it.
func TestPageIndex(t *testing.T) {
	t.Parallel()
	const n = 3000
	for _, rowGroup := range []int64{0, 300_000} {
		part := roundTrip(t, columnar.Options{PageBytes: 1000, RowGroupBytes: rowGroup}, indexLines(n)...)[0]
		check(t, part)
		f := open(t, part)
		indexed, ascending := 0, 0
		for _, c := range f.ColumnIndexes() {
			if len(c.NullPages) > 1 {
				indexed++
			}
			if len(c.NullPages) > 1 && c.BoundaryOrder == format.Ascending {
				ascending++
			}
		}
		if indexed < 4 || rowGroup == 0 && (ascending < 1 || ascending == indexed) {
			t.Errorf("%d column indexes have several pages, and %d of them ascend: the test covers too little", indexed, ascending)
		}
		// parquet-go goes to a row by the index.
		first := 0
		for _, g := range f.RowGroups() {
			for _, row := range []int64{0, 1, g.NumRows() / 2, g.NumRows() - 1} {
				rows := g.Rows()
				if err := rows.SeekToRow(row); err != nil {
					t.Fatal(err)
				}
				buffer := make([]parquet.Row, 1)
				if _, err := rows.ReadRows(buffer); len(buffer[0]) == 0 {
					t.Fatal(err)
				}
				if got, want := buffer[0][1].String(), fmt.Sprintf("id-%d", first+int(row)); got != want {
					t.Errorf("row %d has the id %s, not %s", row, got, want)
				}
				rows.Close()
			}
			first += int(g.NumRows())
		}
	}
	// Where no chunk has two pages there is no index.
	f := open(t, roundTrip(t, columnar.Options{}, indexLines(50)...)[0])
	if len(f.ColumnIndexes()) > 0 || len(f.OffsetIndexes()) > 0 {
		t.Error("a file without several pages has a page index")
	}
}

// A page is closed when it is large enough, also where a column leaves its dictionary with
// more than a page.
func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	const pageBytes, idBytes = 800, 64
	var lines []string
	for i := range 8000 { // the first 4096 in a dictionary, whose open page has 45 then
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","id":"%0*d"}`, idBytes, i))
	}
	part := roundTrip(t, columnar.Options{PageBytes: pageBytes, Codec: columnar.None}, lines...)[0]
	check(t, part)
	pages := 0
	for _, index := range open(t, part).OffsetIndexes() {
		for _, p := range index.PageLocations {
			pages++
			if limit := int32(pageBytes/16*(4+idBytes) + 200); p.CompressedPageSize > limit {
				t.Errorf("a page that begins with row %d has %d bytes, more than %d", p.FirstRowIndex, p.CompressedPageSize, limit)
			}
		}
	}
	if pages < 100 {
		t.Errorf("%d pages", pages)
	}
}

// What does not become smaller, as attachments in line, makes smaller row groups: all their
// pages are in memory.
func TestRowGroupsOfWhatDoesNotCompress(t *testing.T) {
	t.Parallel()
	const rowGroup, page, dictionary = 4_000_000, 100_000, 1 << 20
	var lines []string
	for i := range 200 {
		data := make([]byte, 30_000)
		for n := range data {
			data[n] = byte(rand.Uint32())
		}
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Binary","id":"%d","data":"%s"}`, i, base64.StdEncoding.EncodeToString(data)))
	}
	part := roundTrip(t, columnar.Options{RowGroupBytes: rowGroup, PageBytes: page}, lines...)[0]
	check(t, part)
	groups := open(t, part).Metadata().RowGroups
	for i, g := range groups {
		if limit := int64(rowGroup/4 + page + dictionary); g.TotalCompressedSize > limit {
			t.Errorf("row group %d has %d bytes, more than %d", i, g.TotalCompressedSize, limit)
		}
	}
	if len(groups) < 5 {
		t.Errorf("%d row groups", len(groups))
	}
}

// Every codec and level is read back.
func TestCodecs(t *testing.T) {
	t.Parallel()
	lines := append(indexLines(300), newGenerator(1, 0.5).nasty("Observation", 20))
	sizes := map[string]int64{}
	for _, tt := range []struct {
		codec columnar.Codec
		level int
		want  format.CompressionCodec
	}{
		{"", 0, format.Zstd}, {columnar.Zstd, 1, format.Zstd}, {columnar.Zstd, 3, format.Zstd}, {columnar.Zstd, 22, format.Zstd}, {columnar.Snappy, 0, format.Snappy},
		{columnar.Gzip, 0, format.Gzip}, {columnar.Gzip, 1, format.Gzip}, {columnar.Gzip, 9, format.Gzip}, {columnar.None, 0, format.Uncompressed},
	} {
		part := roundTrip(t, columnar.Options{Codec: tt.codec, Level: tt.level, RowGroupBytes: 50_000}, lines...)[0]
		check(t, part)
		for _, g := range open(t, part).Metadata().RowGroups {
			for _, c := range g.Columns {
				if c.MetaData.Codec != tt.want {
					t.Fatalf("%s: a chunk has the codec %v", tt.codec, c.MetaData.Codec)
				}
			}
		}
		sizes[fmt.Sprint(tt.codec, tt.level)] = part.Bytes
	}
	if sizes["none0"] <= sizes["snappy0"] || sizes["gzip1"] <= sizes["gzip9"] || sizes["zstd1"] <= sizes["zstd22"] || sizes["zstd1"] != sizes["0"] {
		t.Errorf("the sizes are %v", sizes)
	}
	for _, tt := range []struct {
		codec columnar.Codec
		level int
		want  string
	}{
		{"lzo", 0, `"lzo" is no codec; there are zstd, snappy, gzip and none`}, {columnar.Zstd, 23, "zstd has the levels 1 to 22, not 23"},
		{columnar.Zstd, -1, "zstd has the levels 1 to 22, not -1"}, {columnar.Gzip, 10, "gzip has the levels 1 to 9, not 10"},
		{columnar.Snappy, 1, "snappy has no levels"}, {columnar.None, 1, "none has no levels"},
	} {
		w := columnar.NewWriter(columnar.Options{Codec: tt.codec, Level: tt.level, Create: memory{}.create})
		_, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(lines[0]), 0), nil)
		if again := tt.codec.Check(tt.level); err == nil || err.Error() != tt.want || again == nil || again.Error() != tt.want {
			t.Errorf("%s of level %d: %v, and %v", tt.codec, tt.level, err, again)
		}
	}
}

// A part is closed before its footer is more than readers take, however small it is else.
func TestFootersAreBounded(t *testing.T) {
	t.Parallel()
	const n = 150
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"resourceType":"ExplanationOfBenefit","id":"%d"}`, i)
	}
	parts := roundTrip(t, columnar.Options{RowGroupBytes: 1}, lines...)
	groups := 0
	for _, p := range parts {
		here := len(open(t, p).RowGroups())
		groups += here
		if by := open(t, p).Metadata().CreatedBy; !regexp.MustCompile(`^[a-z]+ version [0-9]+[.][0-9]+[.][0-9]+ \(build [^)]+\)$`).MatchString(by) {
			t.Errorf("created by %q, which parquet-mr does not read", by)
		}
		if p.FullFooter != (here > 100) {
			t.Errorf("the footer of %d row groups is full: %t", here, p.FullFooter)
		}
		if size := binary.LittleEndian.Uint32(p.parquet[len(p.parquet)-8:]); size > 10<<20 || here > 120 {
			t.Errorf("the footer of %d row groups has %d bytes", here, size)
		}
	}
	if len(parts) != 2 || groups < n {
		t.Errorf("%d parts have %d row groups", len(parts), groups)
	}
}

// The bloom filter has every id, and few others.
func TestBloomFilter(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 6000 { // the first 2000 in a dictionary
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Basic","id":"%d"}`, i-i%2*max(0, 1-i/2000)), `{"resourceType":"Basic"}`)
	}
	for _, o := range []columnar.Options{{BloomFilter: true}, {BloomFilter: true, RowGroupBytes: 100_000, PageBytes: 1000}} {
		part := roundTrip(t, o, lines...)[0]
		check(t, part)
		others, asked := 0, 0
		for i, g := range open(t, part).RowGroups() {
			var ids map[string]bool
			for _, chunk := range g.ColumnChunks() {
				name := open(t, part).Schema().Columns()[chunk.Column()]
				filter := chunk.BloomFilter()
				if (filter != nil) != (strings.Join(name, ".") == "id") {
					t.Fatalf("row group %d, %v: a bloom filter is there: %v", i, name, filter != nil)
				}
				if filter == nil {
					continue
				}
				ids = map[string]bool{}
				for _, page := range chunkPages(t, chunk, g.NumRows()) {
					for _, v := range page {
						if v.IsNull() {
							continue
						}
						ids[v.String()] = true
						if ok, err := filter.Check(v); !ok || err != nil {
							t.Fatalf("row group %d does not have the id %v: %v", i, v, err)
						}
					}
				}
				for n := range 2000 {
					asked++
					if ok, _ := filter.Check(parquet.ByteArrayValue(fmt.Append(nil, "x", n))); ok {
						others++
					}
				}
			}
			if len(ids) < 100 {
				t.Errorf("row group %d has %d ids", i, len(ids))
			}
		}
		if others*25 > asked {
			t.Errorf("the filters seem to have %d of %d ids that are not there", others, asked)
		}
	}
	parts, _, _ := bury(t, columnar.Options{BloomFilter: true}, bundle(deletion("Patient/1")))
	check(t, parts[0])
	if filter := open(t, parts[0]).RowGroups()[0].ColumnChunks()[1].BloomFilter(); filter == nil {
		t.Error("tombstones have no bloom filter")
	}
	// No id, no filter.
	if filter := open(t, roundTrip(t, columnar.Options{BloomFilter: true}, `{"resourceType":"Basic"}`)[0]).RowGroups()[0].ColumnChunks()[1].BloomFilter(); filter != nil {
		t.Error("there is a bloom filter of nothing")
	}
}
