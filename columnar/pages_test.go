package columnar_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"fhirkiln/columnar"
)

// Values larger than a page, alone and among small ones.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 10 {
		content := strings.Repeat(string(rune('A'+i)), []int{0, 10, 400_000, 1 << 20, 3 << 20}[i%5])
		lines = append(lines, fmt.Sprintf(`{"resourceType":"DocumentReference","id":"%d","content":[{"attachment":{"data":"%s","size":%d}},{"attachment":{"data":"x"}},{}],"extension":[{"url":"u","valueString":"%s"}]}`, i, content, i, content[:len(content)/2]))
	}
	for _, size := range []int64{0, 5 << 20} {
		parts := roundTrip(t, columnar.Options{RowGroupBytes: size}, lines...)
		check(t, parts[0])
		if n := maxPages(t, parts[0]); size == 0 && n < 4 {
			t.Errorf("no column has more than %d pages", n)
		}
	}
}

// maxPages returns how many data pages the column with the most of them has.
func maxPages(t *testing.T, p finishedPart) int {
	t.Helper()
	found := 0
	for _, g := range open(t, p).RowGroups() {
		for _, c := range g.ColumnChunks() {
			pages, n := c.Pages(), 0
			for ; ; n++ {
				page, err := pages.ReadPage()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				parquet.Release(page)
			}
			pages.Close()
			found = max(found, n)
		}
	}
	return found
}

// A page is cut when it is large enough, even if a column gives up its dictionary while the open
// page has more than PageBytes of values.
func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	const pageBytes, idBytes = 800, 64
	var lines []string
	for i := range 8000 { // the first 4096 go into a dictionary, and 45 of them are in the open page when it is given up
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

// A page too large for Parquet's size field fails with an error that says what to do.
func TestLargePage(t *testing.T) {
	t.Parallel()
	m := memory{}
	w := columnar.NewWriter(columnar.Options{Create: m.create})
	w.SetMaxPage(1000)
	_, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(`{"resourceType":"Basic","id":"`+strings.Repeat("1", 1001)+`"}`), 0), &origin)
	if err == nil {
		_, err = w.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "a part of Basic") || !strings.Contains(err.Error(), "--max-line-mib") {
		t.Errorf("got %v", err)
	}
}
