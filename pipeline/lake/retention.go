package lake

import (
	"context"
	"slices"
	"time"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/ledger"
)

// Retention says which of a feed's runs stay live.
type Retention struct {
	// Runs is how many published runs stay live, and Days is for how many days they do. A run is
	// dropped when neither keeps it. The last full run that may replace what is older (see
	// [ledger.PublishedRun]) and all runs after it always stay, so a feed that is never exported
	// in full keeps everything. So do runs with types that this full run did not ask for. What
	// it lacks goes with the older runs. 0 and 0: all stay.
	Runs int
	Days int
}

// Droppable returns the live runs that need not be kept: those before the last full run that may
// replace them, that neither rule keeps and that hold no type which the full run did not ask for. A
// run with tombstones stays if a run before it does: otherwise, resources of the earlier run
// that they delete would be current again. Without a rule, or for a feed without a full run,
// there are none.
func (l Lake) Droppable(ctx context.Context, f ledger.Feed, keep Retention, now time.Time) ([]string, error) {
	if keep.Runs <= 0 && keep.Days <= 0 {
		return nil, nil
	}
	full := lastFull(f)
	newer := 0 // runs after this one
	for _, r := range f.Runs {
		newer += r.RunsHeld()
	}
	var fullReport *Report
	var gone []string
	kept := false // an earlier run is kept
	for i := range max(full, 0) {
		r := f.Runs[i]
		newer -= r.RunsHeld()
		if newer < keep.Runs || keep.Days > 0 && now.Sub(r.NewestHeld()) < time.Duration(keep.Days)*24*time.Hour {
			kept = true
			continue
		}
		var err error
		if fullReport == nil {
			if fullReport, err = l.fullReport(ctx, f.Runs[full]); err != nil {
				return nil, err
			}
		}
		parts, err := l.PartsOf(ctx, r.Run)
		if err != nil {
			return nil, err
		}
		needed := func(p Part) bool { return !fullReport.Covers(p.Type) && (p.Type != columnar.Deleted || kept) }
		if slices.ContainsFunc(parts, needed) {
			kept = true
			continue
		}
		gone = append(gone, r.Run)
	}
	return gone, nil
}

// CurrentRuns returns a feed's live runs with only those parts that may hold what is current:
// all parts since the last full run that may replace what is older and, from earlier runs, the
// types that the full run did not ask for.
func (l Lake) CurrentRuns(ctx context.Context, f ledger.Feed) ([]LiveRun, error) {
	full := lastFull(f)
	runs, err := l.LiveRuns(ctx, f.Runs)
	if full < 0 || err != nil {
		return runs, err
	}
	report, err := l.fullReport(ctx, f.Runs[full])
	if err != nil {
		return nil, err
	}
	for i := range full {
		runs[i].List = slices.DeleteFunc(runs[i].List, func(p Part) bool { return report.Covers(p.Type) })
	}
	return runs, nil
}

// fullReport returns the report of a full run or, for a compaction of one and of later runs, of
// that one: what the later ones brought of other types does not stand for all there was.
func (l Lake) fullReport(ctx context.Context, r ledger.PublishedRun) (*Report, error) {
	for _, run := range slices.Backward(append(slices.Clone(r.Replaces), r.Run)) {
		report, err := l.Report(ctx, run)
		if err != nil {
			return nil, err
		}
		if (report.Kind == ledger.KindFull || report.Full) && report.Status == ledger.StatusPublished {
			return report, nil
		}
	}
	return &Report{}, nil // it cannot be told, so nothing is covered
}

// Compacted returns the run that takes the place of others, oldest first, with the same rows.
// For retention it stands for all of them. The caller adds when it was published and what parts
// it has.
func Compacted(run string, of []LiveRun) ledger.PublishedRun {
	made := ledger.PublishedRun{Run: run, Kind: ledger.KindCompaction, Status: ledger.StatusPublished}
	for _, r := range of {
		made.Replaces = append(append(made.Replaces, r.Replaces...), r.Run)
		made.Resources += r.Resources
		made.Holds += r.RunsHeld()
		made.Newest = r.NewestHeld()
		made.Full = made.Full || holdsFull(r.PublishedRun)
		made.Supersedes = made.Supersedes || r.Supersedes
		made.TransactionTime = r.TransactionTime
		if r.Status == ledger.StatusPartial {
			made.Status = ledger.StatusPartial
		}
	}
	return made
}

// lastFull returns the index of a feed's last full run that may replace what is older, -1 if there
// is none.
func lastFull(f ledger.Feed) int {
	for i := len(f.Runs) - 1; i >= 0; i-- {
		if holdsFull(f.Runs[i]) && f.Runs[i].Supersedes {
			return i
		}
	}
	return -1
}

// holdsFull reports whether the run holds all that the feed had at one time.
func holdsFull(r ledger.PublishedRun) bool {
	return r.Kind == ledger.KindFull && r.Status == ledger.StatusPublished || r.Full
}

// Covers reports whether what a full run brought of a resource type is all that there was: it
// asked for the type, or got it without asking.
func (r *Report) Covers(resourceType string) bool {
	return resourceType != columnar.Deleted &&
		(slices.ContainsFunc(r.Exports, func(x ExportReport) bool {
			return x.Since == nil && (len(x.Types) == 0 || slices.Contains(x.Types, resourceType))
		}) || slices.ContainsFunc(r.Parts, func(p Part) bool { return p.Type == resourceType }))
}
