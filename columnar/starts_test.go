package columnar_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

// Dates that come again have the start that they had the first time, whatever became of the
// dictionaries meanwhile: lines that are not JSON in the end, row groups, dates without end.
func TestDatesThatComeAgain(t *testing.T) {
	t.Parallel()
	starts := map[string]string{ // all of the same time but for the last three
		"2015": "2015-01-01T00:00:00Z", "2015-01": "2015-01-01T00:00:00Z", "2015-01-01": "2015-01-01T00:00:00Z",
		"2015-01-01T01:00:00+01:00": "2015-01-01T00:00:00Z", "2014-12-31T19:00:00.000-05:00": "2015-01-01T00:00:00Z",
		`2\u00315-01-01`: "", `20\u00315-01-01`: "2015-01-01T00:00:00Z",
		"2015-13-01": "", "some day": "", "1905-08": "1905-08-01T00:00:00Z",
	}
	var dates []string
	for d := range starts {
		dates = append(dates, d)
	}
	r := rand.New(rand.NewPCG(5, 6))
	var lines, want []string
	add := func(date, start string) {
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","birthDate":"%s","contact":[{"period":{"start":"%s"}}]}`, date, date))
		want = append(want, start)
	}
	for i := range 9000 {
		switch d := dates[r.IntN(len(dates))]; {
		case r.IntN(20) == 0:
			lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","birthDate":"%d","deceasedDateTime":"%s","x":`, 1000+r.IntN(1000), d))
		case i > 3000 && r.IntN(3) > 0: // dictionaries do not pay any more
			add(fmt.Sprintf("2020-01-01T00:00:00.%06dZ", i), strings.TrimRight(fmt.Sprintf("2020-01-01T00:00:00.%06d", i), "0")+"Z")
		default:
			add(d, starts[d])
		}
	}
	for _, rowGroup := range []int64{50_000, 0} {
		refused := 0
		parts, _ := convert(t, columnar.Options{RowGroupBytes: rowGroup, Quarantine: func(context.Context, columnar.Quarantined) error {
			refused++
			return nil
		}}, strings.NewReader(ndjson(lines...)))
		if refused != len(lines)-len(want) {
			t.Fatalf("%d lines are refused of %d that are wrong", refused, len(lines)-len(want))
		}
		check(t, parts[0])
		for i, row := range rows(t, parts[0]) {
			for _, path := range []string{"__birthDate_start", "contact.period.__start_start"} {
				if got := row.text(path); got != want[i] {
					t.Fatalf("row groups of %d, row %d: %s of %s is %q, want %q", rowGroup, i, path, row.text("birthDate"), got, want[i])
				}
			}
		}
	}
}
