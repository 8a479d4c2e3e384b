package lake

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"fhirkiln/pipeline/ledger"
)

// OldestLive is a time that no live resource of these types was exported before; no types are
// all types. It is zero if none of them is live. What was deleted at the server since then is
// what readers may see though it is gone.
//
// Lists and reports that are gone or damaged make it earlier, if anything. Errors are the
// store's.
func (l Lake) OldestLive(ctx context.Context, f ledger.Feed, types []string) (time.Time, error) {
	runs, err := l.LiveRuns(ctx, f.Runs)
	unread := unreadable(err) // then each may have parts of any type
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

func unreadable(err error) bool {
	_, damaged := errors.AsType[*ledger.DamagedError](err)
	return damaged || errors.Is(err, fs.ErrNotExist)
}

// exportedFrom is the lowest transactionTime of a run's exports, or when the run began if that
// is earlier: servers give times that are still to come. Where one cannot be read, it is a day
// before the run began, since clocks differ.
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

// transactionTimes are a run's lowest one; of a compaction, which has that of its newest run,
// those of all exports, "" if its report does not say.
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
