package columnar_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

// Dictionaries that are given up early or late, and one that is kept.
func TestDictionaries(t *testing.T) {
	t.Parallel()
	const n = 10_000
	var lines []string
	for i := range n {
		// The id never repeats; the language always does, and the div only in the first half.
		div := strings.Repeat(fmt.Sprintf("%d ", i%97), 60)
		if i > n/2 {
			div = fmt.Sprint(strings.Repeat("y", 200), i)
		}
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Basic","id":"i%d","language":"%s","text":{"status":"s%d","div":"%s"},"created":"%d-01-%02d"}`,
			i, []string{"en", "de"}[i%2], i/3, div, 1000+i%3000, i%28+1))
	}
	for _, tt := range []struct {
		rowGroup int64
		want     columns
	}{
		{0, columns{"id": "PLAIN", "language": "RLE_DICTIONARY", "text.div": "PLAIN"}},
		{1_500_000, columns{"id": "PLAIN", "language": "RLE_DICTIONARY", "text.div": "RLE_DICTIONARY PLAIN"}},
	} {
		parts := roundTrip(t, columnar.Options{RowGroupBytes: tt.rowGroup}, lines...)
		check(t, parts[0])
		got := columns{}
		for _, g := range open(t, parts[0]).Metadata().RowGroups {
			for _, c := range g.Columns {
				name, used := strings.Join(c.MetaData.PathInSchema, "."), "PLAIN"
				if c.MetaData.DictionaryPageOffset > 0 {
					used = "RLE_DICTIONARY"
				}
				if tt.want[name] != "" && !strings.Contains(got[name], used) {
					got[name] = strings.TrimSpace(got[name] + " " + used)
				}
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("encodings with row groups of %d (-want +got):\n%s", tt.rowGroup, diff)
		}
	}
}

// The names of thousands of files of a few rows each are in a dictionary.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	m := memory{}
	w := columnar.NewWriter(columnar.Options{Create: m.create})
	input := ndjson(slices.Repeat([]string{`{"resourceType":"Basic"}`}, 4)...)
	for i := range 5000 {
		from := origin
		from.File = fmt.Sprintf("https://payer.example/%d.ndjson", i)
		if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(input), 0), &from); err != nil {
			t.Fatal(err)
		}
	}
	part := m.finish(t, w)[0]
	check(t, part)
	for _, c := range open(t, part).Metadata().RowGroups[0].Columns {
		if strings.Join(c.MetaData.PathInSchema, ".") == "__origin.file" && c.MetaData.DictionaryPageOffset == 0 {
			t.Error("they have not")
		}
	}
}

// Values of refused lines do not count when a dictionary is judged by how many values are new.
func TestSpoiledLinesDoNotCount(t *testing.T) {
	t.Parallel()
	var good, all []string
	for i := range 6000 {
		line := fmt.Sprintf(`{"resourceType":"Patient","name":[{"given":["given-%d"]}]}`, i)
		good = append(good, line)
		all = append(all, line)
		if i >= 1000 && i < 4000 {
			all = append(all, strings.TrimSuffix(good[i%1000], "}"))
		}
	}
	write := func(lines []string) []byte {
		files := memory{}
		w := columnar.NewWriter(columnar.Options{Create: files.create, PageBytes: 5000,
			Quarantine: func(context.Context, columnar.Quarantined) error { return nil }})
		if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(ndjson(lines...)), 0), nil); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(files.finish(t, w)[0].parquet)
	}
	if !bytes.Equal(write(good), write(all)) {
		t.Error("lines that are refused change the part of the others")
	}
}
