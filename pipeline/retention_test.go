package pipeline_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
)

// A run drops those runs before it that need not be kept, going by what they and it have
// reported.
func TestRetention(t *testing.T) {
	t.Parallel()
	data := bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 5)...), bulktest.Lines("Basic", resources("Basic", 0, 2)...)}
	const full, inc = true, false
	for name, tt := range map[string]struct {
		runs  []bool
		runs2 []bool // run after last is called
		last  func(w *world)
		live  int
	}{
		"the last full one and those after":   {runs: []bool{full, inc, full, inc, inc}, live: 3},
		"a type that is not asked for longer": {runs: []bool{full}, last: func(w *world) { w.Feed.Request.Types = []string{"Patient"} }, runs2: []bool{full, full}, live: 2},
		"a full one with faults is no base": {runs: []bool{full, inc}, last: func(w *world) {
			w.serve(t, 9, bulktest.Options{Data: data, Errors: bulktest.Files{bulktest.Lines("OperationOutcome",
				`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing"}]}`)}})
		}, runs2: []bool{full}, live: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			day := 0
			w := newWorld(t, bulktest.Options{Data: data, TransactionTime: func() time.Time {
				day++ // before the resources' own times, so that each run has them
				return time.Date(2025, 12, day, 0, 0, 0, 0, time.UTC)
			}})
			w.Feed.Keep.Runs = 1
			run := func(runs []bool) {
				for _, w.Full = range runs {
					_, _ = pipeline.Run(t.Context(), w.Options)
				}
			}
			run(tt.runs)
			if tt.last != nil {
				tt.last(w)
			}
			run(tt.runs2)
			feed := w.feed(t)
			if n := len(tt.runs) + len(tt.runs2); len(feed.Runs) != tt.live || len(feed.Dropped) != n-tt.live {
				t.Errorf("of %d runs %d are live and %d dropped, want %d live", n, len(feed.Runs), len(feed.Dropped), tt.live)
			}
			if slices.ContainsFunc(feed.Dropped, func(r ledger.DroppedRun) bool { return r.At.IsZero() || r.Published.IsZero() }) {
				t.Errorf("dropped %+v", feed.Dropped)
			}
			w.gc(t, noGrace)
			w.verify(t)
		})
	}
}

// The days of a compaction are those of the runs that it was made from.
func TestRetentionDaysOfCompactedRuns(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
	c.run(t)
	c.then(1, bulktest.Lines("Patient", updated("Patient", "2", "2026-03-02T01:00:00Z")))
	c.run(t)
	c.then(10)
	if _, err := pipeline.Compact(t.Context(), c.Options, pipeline.CompactOptions{}); err != nil {
		t.Fatal(err)
	}
	c.Feed.Keep.Days, c.Full = 5, true
	c.then(1)
	c.run(t)
	if runs := c.feed(t).Runs; len(runs) != 1 {
		t.Errorf("%d runs are live, want that of today", len(runs))
	}
}

// A compaction stands for the runs that it was made from.
func TestRetentionCountsCompactedRuns(t *testing.T) {
	t.Parallel()
	for keep, live := range map[int]int{1: 1, 2: 2, 4: 2} {
		t.Run(fmt.Sprint(keep), func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
			for n := range 3 { // a full run and two nights, compacted twice
				c.then(1, bulktest.Lines("Patient", updated("Patient", fmt.Sprint(n), fmt.Sprintf("2026-03-%02dT01:00:00Z", n+2))))
				c.run(t)
				if n > 0 {
					if _, err := pipeline.Compact(t.Context(), c.Options, pipeline.CompactOptions{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			feed := c.feed(t)
			if len(feed.Runs) != 1 || feed.Runs[0].Holds != 3 || feed.Runs[0].Newest.Day() != 4 {
				t.Fatalf("%+v", feed.Runs)
			}
			c.Feed.Keep.Runs, c.Full = keep, true
			c.then(1)
			c.run(t)
			if runs := c.feed(t).Runs; len(runs) != live {
				t.Errorf("%d runs are live, want %d", len(runs), live)
			}
		})
	}
}
