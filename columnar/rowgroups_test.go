package columnar_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

// The sizes of row groups and pages, and the encoding of values, do not affect what is read.
func TestSizes(t *testing.T) {
	t.Parallel()
	types := []string{"Patient", "Observation", "Questionnaire", "Task", "Bundle", "MolecularSequence", "Foo"}
	for seed, name := range types {
		for _, size := range []int64{1, 3000, 40_000} {
			t.Run(fmt.Sprintf("%s in row groups of %d", name, size), func(t *testing.T) {
				t.Parallel()
				g := newGenerator(uint64(seed), 0.15)
				var lines []string
				for range 15 {
					lines = append(lines, g.nasty(name, g.r.IntN(2)))
				}
				parts := roundTrip(t, columnar.Options{RowGroupBytes: size}, lines...)
				check(t, parts[0])
				if n := len(open(t, parts[0]).RowGroups()); size == 1 && n != len(lines) {
					t.Errorf("there are %d row groups", n)
				}
			})
		}
	}
}

// A row group holds the first rows that together have RowGroupBytes of NDJSON.
func TestRowGroups(t *testing.T) {
	t.Parallel()
	line := `{"resourceType":"Basic","id":"1"}`
	for _, tt := range []struct {
		bytes int64
		rows  int
		want  []int64
	}{
		{1, 3, []int64{1, 1, 1}},
		{int64(len(line)), 2, []int64{1, 1}},
		{int64(len(line)) + 1, 5, []int64{2, 2, 1}},
		{int64(10 * len(line)), 25, []int64{10, 10, 5}},
		{int64(10 * len(line)), 20, []int64{10, 10}},
		{0, 1000, []int64{1000}},
	} {
		parts, _ := convert(t, columnar.Options{RowGroupBytes: tt.bytes}, strings.NewReader(strings.Repeat(line+"\n", tt.rows)))
		var got []int64
		for _, g := range open(t, parts[0]).RowGroups() {
			got = append(got, g.NumRows())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("row groups of %d rows by %d bytes (-want +got):\n%s", tt.rows, tt.bytes, diff)
		}
	}
}

// Many types at once share the memory of two row groups, and the largest is flushed first.
func TestMemoryOfManyTypes(t *testing.T) {
	t.Parallel()
	small := strings.Repeat(`{"resourceType":"Basic","id":"1"}`+"\n"+`{"resourceType":"Flag","id":"1"}`+"\n", 60)
	group := `{"resourceType":"Group","id":"1","name":"larger"}` + "\n"
	large := strings.Repeat(group, 60)
	m := memory{}
	w := columnar.NewWriter(columnar.Options{Create: m.create, RowGroupBytes: int64(len(large)) + 100})
	if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(large+small+group), 0), &origin); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.finish(t, w) {
		want := 1
		if p.ResourceType == "Group" {
			want = 2
		}
		if got := len(open(t, p).Metadata().RowGroups); got != want {
			t.Errorf("%s has %d row groups, not %d", p.ResourceType, got, want)
		}
	}
}

// Rows that do not compress, such as those with inline attachments, make smaller row groups,
// because all pages of a row group are in memory.
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
