package columnar_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/columnar"
)

// encodings returns how a column's values are encoded in each row group of a part: "plain",
// "dictionary" or "both".
func encodings(t *testing.T, p finishedPart, path string) (all []string) {
	t.Helper()
	for _, g := range open(t, p).Metadata().RowGroups {
		for _, c := range g.Columns {
			if strings.Join(c.MetaData.PathInSchema, ".") != path {
				continue
			}
			switch {
			case c.MetaData.DictionaryPageOffset == 0:
				all = append(all, "plain")
			case slices.ContainsFunc(c.MetaData.EncodingStats, func(s format.PageEncodingStats) bool {
				return s.PageType == format.DataPage && s.Encoding == format.Plain
			}):
				all = append(all, "both")
			default:
				all = append(all, "dictionary")
			}
		}
	}
	return all
}

// Values that come in runs and do not come back are PLAIN-encoded. Values that alternate or come
// back, long values, and values that come very often in a row have a dictionary.
func TestDictionaryOfRuns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		value func(row int) string
		want  string
	}{
		{"runs", func(i int) string { return fmt.Sprint("given-", i/3) }, "plain"},
		{"all others", func(i int) string { return fmt.Sprint("given-", i) }, "plain"},
		{"two in turn", func(i int) string { return fmt.Sprint("given-", i%2) }, "dictionary"},
		{"runs that come back", func(i int) string { return fmt.Sprint("given-", i/3%75+i/300*75) }, "dictionary"},
		{"runs of which some come back", func(i int) string { return fmt.Sprint("given-", i/3-i/3%20/19*5) }, "dictionary"},
		{"long runs", func(i int) string { return fmt.Sprint("given-", i/40) }, "dictionary"},
		{"one", func(int) string { return "given" }, "dictionary"},
		{"runs of long values", func(i int) string { return fmt.Sprintf("urn:uuid:00000000-0000-4000-8000-%012d", i/3) }, "dictionary"},
	} {
		for _, rows := range []int{300, 5000} { // one page; and more values than dictionaryTrial
			var lines []string
			for i := range rows {
				lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","name":[{"given":["%s"]}]}`, tt.value(i)))
			}
			p := roundTrip(t, columnar.Options{}, lines...)[0]
			check(t, p)
			if got := encodings(t, p, "name.list.element.given.list.element"); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("%s, %d rows: it is %v, not %s", tt.name, rows, got, tt.want)
			}
		}
	}
}

// runsOf returns lines whose dates come in runs only after some pages with a dictionary are finished.
func runsOf(rows int) (lines []string) {
	for i := range rows {
		day := i % 5
		if i > rows/2 {
			day = i / 3
		}
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","deceasedDateTime":"%d-01-%02d","name":[{"given":["a"],"period":{"start":"%d-02-%02d"}}]}`,
			1000+day/28, 1+day%28, 1000+day/28, 1+day%28))
	}
	return lines
}

// A column whose values begin to come in runs gives up its dictionary even if it has finished
// pages with it. It has no dictionary in the row groups that follow, either.
func TestDictionaryIsLeftForRuns(t *testing.T) {
	t.Parallel()
	o := columnar.Options{Codec: columnar.None, PageBytes: 5000, RowGroupBytes: 1 << 20, IdentifyingBounds: true}
	lines := runsOf(12_000)
	p := roundTrip(t, o, lines...)[0]
	check(t, p)
	for _, path := range []string{"deceasedDateTime", "__deceasedDateTime_start", "name.list.element.period.start", "name.list.element.period.__start_start"} {
		if got := encodings(t, p, path); !slices.Equal(got, []string{"both", "plain"}) {
			t.Errorf("%s is %v", path, got)
		}
	}
	checkAlike(t, "runs", o, lines)
}

// Refused lines have no influence on whether values count as coming in runs.
func TestSpoiledLinesAndRuns(t *testing.T) {
	t.Parallel()
	var good, all []string
	for i, line := range runsOf(9000) {
		good = append(good, line)
		if all = append(all, line); i%3 == 0 {
			all = append(all, strings.TrimSuffix(good[i/2], "}"))
		}
	}
	write := func(lines []string) []byte {
		files := memory{}
		w := columnar.NewWriter(columnar.Options{Create: files.create, PageBytes: 5000,
			Quarantine: func(context.Context, columnar.Quarantined) error { return nil }})
		if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(ndjson(lines...)), 0), nil); err != nil {
			t.Fatal(err)
		}
		return files.finish(t, w)[0].parquet
	}
	if !bytes.Equal(write(good), write(all)) {
		t.Error("lines that are refused change the part of the others")
	}
}
