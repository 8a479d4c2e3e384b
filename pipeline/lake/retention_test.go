package lake_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// nightly publishes runs, one per night, and returns the numbers of those that are live.
func (w *world) nightly(t *testing.T, runs ...a) []int {
	t.Helper()
	number := map[string]int{}
	for n, run := range runs {
		number[w.publish(t, run).Run] = n
		w.now = w.now.AddDate(0, 0, 1)
	}
	live := []int{}
	for _, r := range w.feed(t, "members").Runs {
		live = append(live, number[r.Run])
	}
	return live
}

// TestRetention checks which of a feed's runs stay live.
func TestRetention(t *testing.T) {
	t.Parallel()
	const basic, patient, deleted = "Basic", "Patient", columnar.Deleted
	full, inc, faulty := a{}, a{kind: ledger.KindIncremental}, a{partial: true}
	patients := a{asked: []string{patient}}
	for name, tt := range map[string]struct {
		runs []a
		keep lake.Retention
		live []int
	}{
		"no rule":                             {[]a{full, inc, full, full}, lake.Retention{}, []int{0, 1, 2, 3}},
		"the last full one and those after":   {[]a{full, inc, full, inc, inc}, lake.Retention{Runs: 1}, []int{2, 3, 4}},
		"as many as may stay":                 {[]a{full, inc, full, full}, lake.Retention{Runs: 3}, []int{1, 2, 3}},
		"the first is the only full one":      {[]a{full, inc, inc, inc}, lake.Retention{Runs: 1}, []int{0, 1, 2, 3}},
		"none is a full one":                  {[]a{inc, inc, inc}, lake.Retention{Runs: 1}, []int{0, 1, 2}},
		"days":                                {[]a{full, full, full, full}, lake.Retention{Days: 2}, []int{2, 3}},
		"either keeps":                        {[]a{full, full, full, full}, lake.Retention{Runs: 1, Days: 3}, []int{1, 2, 3}},
		"a full one with faults is no base":   {[]a{full, inc, faulty}, lake.Retention{Runs: 1}, []int{0, 1, 2}},
		"one that was not compared is none":   {[]a{full, inc, {unchecked: true}, inc}, lake.Retention{Runs: 1}, []int{0, 1, 2, 3}},
		"a type that is not asked for longer": {[]a{{types: []string{patient, basic}}, patients, patients}, lake.Retention{Runs: 1}, []int{0, 2}},
		"a type that came without being asked for": {[]a{{types: []string{patient, basic}}, {types: []string{patient, basic}, asked: []string{patient}}},
			lake.Retention{Runs: 1}, []int{1}},
		"tombstones of what stays": {[]a{{types: []string{patient, basic}}, {types: []string{deleted}, kind: ledger.KindIncremental}, patients},
			lake.Retention{Runs: 1}, []int{0, 1, 2}},
		"tombstones of what goes": {[]a{full, {types: []string{deleted}, kind: ledger.KindIncremental}, patients}, lake.Retention{Runs: 1}, []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.keep = tt.keep
			if diff := cmp.Diff(tt.live, w.nightly(t, tt.runs...)); diff != "" {
				t.Errorf("live runs (-want +got):\n%s", diff)
			}
			feed := w.feed(t, "members")
			if len(feed.Runs)+len(feed.Dropped) != len(tt.runs) || slices.ContainsFunc(feed.Dropped, func(r ledger.DroppedRun) bool { return r.At.IsZero() || r.Published.IsZero() }) {
				t.Errorf("dropped %+v", feed.Dropped)
			}
		})
	}
}

// What may be current is what came since the last full run, and types that it had not asked for.
func TestCurrentRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	both := []string{"Patient", "Basic"}
	w.nightly(t, a{types: both}, a{types: []string{"Patient"}, asked: []string{"Patient"}}, a{types: both, kind: ledger.KindIncremental})
	runs, err := w.CurrentRuns(t.Context(), w.feed(t, "members"))
	must(t, err)
	var got []string
	for n, r := range runs {
		for _, p := range r.List {
			got = append(got, fmt.Sprint(n, p.Type))
		}
	}
	if want := []string{"0Basic", "1Patient", "2Patient", "2Basic"}; !slices.Equal(want, got) {
		t.Errorf("%q may be current, want %q", got, want)
	}
}

// For retention, a compaction is what it was made from.
func TestCompacted(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }
	full := ledger.PublishedRun{Run: "r1", Published: day(1), TransactionTime: "a", Kind: ledger.KindFull, Status: ledger.StatusPublished, Supersedes: true, Resources: 10, Parts: 2}
	night := ledger.PublishedRun{Run: "r2", Published: day(2), TransactionTime: "b", Kind: ledger.KindIncremental, Status: ledger.StatusPublished, Resources: 1}
	faulty := ledger.PublishedRun{Run: "r4", Published: day(4), TransactionTime: "c", Kind: ledger.KindFull, Status: ledger.StatusPartial, Resources: 5}
	once := lake.Compacted("r3", []lake.LiveRun{{PublishedRun: full}, {PublishedRun: night}})
	once.Published = day(3)
	for _, tt := range []struct{ got, want ledger.PublishedRun }{
		{once, ledger.PublishedRun{Run: "r3", Published: day(3), TransactionTime: "b", Kind: ledger.KindCompaction, Status: ledger.StatusPublished,
			Resources: 11, Replaces: []string{"r1", "r2"}, Full: true, Supersedes: true, Holds: 2, Newest: day(2)}},
		{lake.Compacted("r5", []lake.LiveRun{{PublishedRun: once}, {PublishedRun: faulty}}), ledger.PublishedRun{Run: "r5", TransactionTime: "c",
			Kind: ledger.KindCompaction, Status: ledger.StatusPartial, Resources: 16, Replaces: []string{"r1", "r2", "r3", "r4"}, Full: true, Supersedes: true, Holds: 3, Newest: day(4)}},
		{lake.Compacted("r6", []lake.LiveRun{{PublishedRun: night}, {PublishedRun: faulty}}), ledger.PublishedRun{Run: "r6", TransactionTime: "c",
			Kind: ledger.KindCompaction, Status: ledger.StatusPartial, Resources: 6, Replaces: []string{"r2", "r4"}, Holds: 2, Newest: day(4)}},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
