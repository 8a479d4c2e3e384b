package columnar_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/columnar"
)

// checkIndexPlace checks that the page index begins at offset at of the file and is there for all
// chunks or none. It returns where the index ends.
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

// checkBooleans checks the list that a column index begins with, as readers that follow Thrift's
// specification do.
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

// checkPageIndex compares what the page index says about a chunk with its pages.
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

// indexLines returns Observations whose columns have several pages: numbers of both signs, texts,
// rare values, and codes that repeat.
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

// Chunks of several pages have a correct index, and readers find rows by it.
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
		// parquet-go finds a row by the index.
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
	// If no chunk has two pages, there is no index.
	f := open(t, roundTrip(t, columnar.Options{}, indexLines(50)...)[0])
	if len(f.ColumnIndexes()) > 0 || len(f.OffsetIndexes()) > 0 {
		t.Error("a file without several pages has a page index")
	}
}
