package columnar_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

// Repeated dates keep the start that they had the first time, whatever happens to the dictionaries
// in between: dates or starts give up theirs, lines are refused, pages and row groups end.
func TestDatesThatComeAgain(t *testing.T) {
	t.Parallel()
	type date struct{ text, start string } // as it stands in the line
	common := []date{
		{"2015", "2015-01-01T00:00:00Z"}, {"2016-02", "2016-02-01T00:00:00Z"}, {"2017-03-04", "2017-03-04T00:00:00Z"},
		{"2018-01-01T01:00:00+01:00", "2018-01-01T00:00:00Z"}, {"2019-12-31T19:00:00.000-05:00", "2020-01-01T00:00:00Z"},
		{`20\u00321-01-01`, "2021-01-01T00:00:00Z"}, {"2021-01-01", "2021-01-01T00:00:00Z"},
		{"2015-13-01", ""}, {"some day", ""}, {"1905-08", "1905-08-01T00:00:00Z"},
	}
	r := rand.New(rand.NewPCG(5, 6))
	for _, tt := range []struct {
		name    string
		many    func(i int) date // of which there are many
		refused bool
		options columnar.Options
	}{
		{"dates leave, starts do not", func(i int) date {
			return date{fmt.Sprintf("2014-01-%02dT00:00:00.000000%05dZ", 1+i%5, i), fmt.Sprintf("2014-01-%02dT00:00:00Z", 1+i%5)}
		}, false, columnar.Options{}},
		{"dates leave, in pages", func(i int) date {
			return date{fmt.Sprintf("2014-01-%02dT00:00:00.000000%05dZ", 1+i%5, i), fmt.Sprintf("2014-01-%02dT00:00:00Z", 1+i%5)}
		}, true, columnar.Options{PageBytes: 500}},
		{"starts leave, dates do not", func(i int) date { // since dates without start come again
			if i%20 < 11 {
				return date{"some day", ""}
			}
			return date{fmt.Sprintf("2014-01-01T00:00:00.%06dZ", i), strings.TrimRight(fmt.Sprintf("2014-01-01T00:00:00.%06d", i), "0") + "Z"}
		}, false, columnar.Options{PageBytes: 500}},
		{"many that come again", func(i int) date {
			return date{fmt.Sprintf("2014-01-01T00:00:00.%06dZ", 1+i/3), strings.TrimRight(fmt.Sprintf("2014-01-01T00:00:00.%06d", 1+i/3), "0") + "Z"}
		}, true, columnar.Options{PageBytes: 500, RowGroupBytes: 300_000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			var want []date
			for i := range 12_000 {
				d := common[r.IntN(len(common))]
				if i >= 100 && i < 11_000 && r.IntN(10) > 0 {
					d = tt.many(i)
				}
				line := fmt.Sprintf(`{"resourceType":"Patient","birthDate":"%s","contact":[{"period":{"start":"%s"}}]`, d.text, d.text)
				if tt.refused && r.IntN(20) == 0 {
					lines = append(lines, line)
					continue
				}
				lines, want = append(lines, line+"}"), append(want, d)
			}
			refused := 0
			o := tt.options
			o.Quarantine = func(context.Context, columnar.Quarantined) error {
				refused++
				return nil
			}
			parts, _ := convert(t, o, strings.NewReader(ndjson(lines...)))
			if refused != len(lines)-len(want) {
				t.Fatalf("%d lines are refused of %d that are wrong", refused, len(lines)-len(want))
			}
			check(t, parts[0])
			for i, row := range rows(t, parts[0]) {
				for _, path := range []string{"__birthDate_start", "contact.period.__start_start"} {
					if got := row.text(path); got != want[i].start {
						t.Fatalf("row %d: %s of %s is %q, want %q", i, path, want[i].text, got, cmp.Or(want[i].start, "none"))
					}
				}
			}
		})
	}
}
