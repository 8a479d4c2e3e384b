package lake

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"fhirkiln/pipeline/ledger"
)

// OldestLive returns a time before which no live resource of these types was exported; no types
// means all types. It is zero if none of them is live. Resources deleted at the server since
// then are the ones that readers may still see.
//
// Lists and reports that are gone or damaged make it earlier, if anything. Errors are the
// store's.
func (l Lake) OldestLive(ctx context.Context, f ledger.Feed, types []string) (time.Time, error) {
	runs, err := l.LiveRuns(ctx, f.Runs)
	unread := unreadable(err) // if so, each run may have parts of any type
	if err != nil && !unread {
		return time.Time{}, err
	}
	var oldest time.Time
	for i, run := range f.Runs {
		has := func(p Part) bool { return slices.Contains(types, p.Type) }
		if len(types) > 0 && !unread && !slices.ContainsFunc(runs[i].List, has) {
			continue
		}
		at, err := l.exportedFrom(ctx, run)
		if err != nil {
			return time.Time{}, err
		}
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest, nil
}

// unreadable reports whether err says that a file of the state is missing or damaged.
func unreadable(err error) bool {
	_, damaged := errors.AsType[*ledger.DamagedError](err)
	return damaged || errors.Is(err, fs.ErrNotExist)
}

// exportedFrom returns the lowest transactionTime of a run's exports, or when the run began if
// that is earlier, since servers give times that are still in the future. A transactionTime that
// cannot be read counts as a day before the run began, since clocks differ.
func (l Lake) exportedFrom(ctx context.Context, run ledger.PublishedRun) (time.Time, error) {
	began := run.Published
	for _, id := range append([]string{run.Run}, run.Replaces...) {
		if t, ok := runTime(id); ok && t.Before(began) {
			began = t
		}
	}
	texts, err := l.transactionTimes(ctx, run)
	from := began
	for _, text := range texts {
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || t.IsZero() {
			t = began.AddDate(0, 0, -1)
		}
		if t.Before(from) {
			from = t
		}
	}
	return from, err
}

// transactionTimes returns a run's lowest transactionTime. A compaction has only that of its
// newest run, so for a compaction it returns those of all exports, or "" if its report does not
// say.
func (l Lake) transactionTimes(ctx context.Context, run ledger.PublishedRun) ([]string, error) {
	if run.Kind != ledger.KindCompaction {
		return []string{run.TransactionTime}, nil
	}
	report, err := l.Report(ctx, run.Run)
	if unreadable(err) || err == nil && len(report.Exports) == 0 {
		return []string{""}, nil
	}
	if err != nil {
		return nil, err
	}
	var all []string
	for _, x := range report.Exports {
		all = append(all, x.TransactionTime)
	}
	return all, nil
}
