package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/ledger"
)

// droppable are the live runs that need not be kept, by the feed's own rules: those
// before the last full run without a fault, that neither Feed.KeepRuns nor Feed.KeepDays
// keeps, and that hold no type which that full run had not asked for. Tombstones stay where
// a run before them does: a deleted resource of it would be current again. Without a rule,
// and of a feed without a full run, there are none.
func (o Options) droppable(ctx context.Context, f ledger.Feed, now time.Time) ([]string, error) {
	if o.Feed.KeepRuns <= 0 && o.Feed.KeepDays <= 0 {
		return nil, nil
	}
	full := lastFull(f)
	newer := 0 // runs after this one
	for _, r := range f.Runs {
		newer += runsIn(r)
	}
	var asked func(resourceType string) bool
	var gone []string
	kept := false // one before is
	for i := range max(full, 0) {
		r := f.Runs[i]
		newer -= runsIn(r)
		if newer < o.Feed.KeepRuns || o.Feed.KeepDays > 0 && now.Sub(newestIn(r)) < time.Duration(o.Feed.KeepDays)*24*time.Hour {
			kept = true
			continue
		}
		var err error
		if asked == nil {
			if asked, err = o.typesOf(ctx, f.Runs[full].Run); err != nil {
				return nil, err
			}
		}
		parts, err := readParts(ctx, o.State, r.Run)
		if err != nil {
			return nil, err
		}
		needed := func(p PartReport) bool { return !asked(p.Type) && (p.Type != columnar.Deleted || kept) }
		if slices.ContainsFunc(parts, needed) {
			kept = true
			continue
		}
		gone = append(gone, r.Run)
	}
	return gone, nil
}

// runsIn is how many runs a live one stands for, compactions not counted.
func runsIn(r ledger.PublishedRun) int { return max(1, r.Holds) }

// newestIn is when the newest of them was published.
func newestIn(r ledger.PublishedRun) time.Time {
	if r.Newest.IsZero() {
		return r.Published
	}
	return r.Newest
}

// droppableNow are the runs that need not be kept once r is published.
func (r *run) droppableNow(ctx context.Context) []string {
	next := r.lease.Feed()
	if len(r.report.Parts) > 0 || len(r.report.Quarantine) > 0 {
		next.Runs = append(next.Runs, r.publishedRun())
	}
	gone, err := r.droppable(ctx, next, r.report.Finished)
	if err != nil {
		r.Log.Warn("whether older runs may go could not be found out; the next run or gc tries again", "error", err)
	}
	return gone
}

// lastFull is the place of a feed's last full run without a fault, -1 if there is none.
func lastFull(f ledger.Feed) int {
	for i := len(f.Runs) - 1; i >= 0; i-- {
		if holdsFull(f.Runs[i]) {
			return i
		}
	}
	return -1
}

// holdsFull says whether all that a feed had at one time is in the run.
func holdsFull(r ledger.PublishedRun) bool {
	return r.Kind == ledger.KindFull && r.Status == ledger.StatusPublished || r.Full
}

// typesOf says which types a full run has brought: those that it asked for and those
// that it got.
func (o Options) typesOf(ctx context.Context, run string) (func(string) bool, error) {
	report, err := readReport(ctx, o.State, run)
	if err != nil {
		return nil, err
	}
	types := map[string]bool{}
	all := false
	for _, x := range report.Exports {
		if x.Since == nil {
			all = all || len(x.Types) == 0
			for _, t := range x.Types {
				types[t] = true
			}
		}
	}
	for _, p := range report.Parts {
		types[p.Type] = true
	}
	return func(t string) bool { return t != columnar.Deleted && (all || types[t]) }, nil
}

func readReport(ctx context.Context, s ledger.Store, run string) (*Report, error) {
	key := ledger.ReportKey(run)
	content, _, err := s.Load(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading the report of run %s: %w", run, err)
	}
	var r Report
	if err := json.Unmarshal(content, &r); err != nil {
		return nil, &ledger.DamagedError{Key: key, Err: err, Hint: "restore it from a backup"}
	}
	return &r, nil
}
