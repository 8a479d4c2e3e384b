package lake_test

import (
	"testing"
	"time"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// What is live is as old as its oldest export, also in a compaction; if the export has no time,
// it counts as older than the run.
func TestOldestLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.now
	for n, text := range []string{"2026-03-01T02:00:00Z", "2026-03-03T00:00:00+01:00", ""} {
		w.now = first.AddDate(0, 0, n)
		r := w.publish(t, a{types: [][]string{{"Basic"}, {"Patient"}, {"Encounter"}}[n]})
		r.Exports[0].TransactionTime = text
		must(t, w.PutReport(t.Context(), r))
		w.change(t, "members", func(f *ledger.Feed) { f.Runs[n].TransactionTime = text })
	}
	wantOldest := func(want time.Time, types ...string) {
		t.Helper()
		got, err := w.OldestLive(t.Context(), w.feed(t, "members"), types)
		must(t, err)
		if !got.Equal(want) {
			t.Errorf("the oldest of %q is of %v, want %v", types, got, want)
		}
	}
	wantOldest(first)
	wantOldest(first, "Patient", "Basic")
	wantOldest(first.AddDate(0, 0, 1), "Patient") // when the run began: its transactionTime was still to come
	wantOldest(first.AddDate(0, 0, 1), "Encounter")
	wantOldest(time.Time{}, "Coverage")

	// A compaction's own transactionTime is the newest one.
	f := w.feed(t, "members")
	runs, err := w.LiveRuns(t.Context(), f.Runs[:2])
	must(t, err)
	made := lake.Compacted(lake.NewRunID(w.now), runs)
	made.Published = w.now
	w.change(t, "members", func(f *ledger.Feed) { f.Runs = append([]ledger.PublishedRun{made}, f.Runs[2:]...) })
	must(t, w.PutReport(t.Context(), &lake.Report{Run: made.Run, Kind: made.Kind, Status: made.Status, Parts: runs[0].List,
		Exports: []lake.ExportReport{{TransactionTime: "2026-02-27T00:00:00Z"}, {TransactionTime: "2026-03-03T00:00:00Z"}}}))
	wantOldest(time.Date(2026, 2, 27, 0, 0, 0, 0, time.UTC), "Basic")
	must(t, w.dir.Remove(t.Context(), lake.ReportKey(made.Run)))
	wantOldest(first.AddDate(0, 0, -1), "Basic")
	must(t, w.dir.Remove(t.Context(), lake.PartsKey(made.Run)))
	wantOldest(first.AddDate(0, 0, -1), "Coverage")
}
