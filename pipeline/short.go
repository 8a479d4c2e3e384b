package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// A full run is short of a type if it has fewer of the type's resources than the last full run,
// by more than 1/shortDivisor and by more than shortFew: its export may not have been whole. In a
// type with few resources, such as the organizations of a small clinic, one or two come and go
// all the time. But if none of them is left, that is no coming and going.
const (
	shortDivisor = 10
	shortFew     = 2
)

func short(before, now int64) bool {
	missing := before - now
	return missing*shortDivisor > before && (missing > shortFew || now == 0)
}

// checkShort keeps the older runs live if this full run would have them dropped, and its export
// may not have been whole: what it lacks would go with them. The run is then partial, so that no
// later run and no gc takes it for a full one.
//
// What was kept once may be dropped by the next run with Options.Full, if that finds no less.
func (r *run) checkShort(ctx context.Context) error {
	if r.Feed.Keep == (lake.Retention{}) || !r.inFull() || r.report.Empty() || r.report.Issues.Failed() > 0 || r.report.Quarantined > 0 {
		return nil // nothing is dropped anyway
	}
	if r.report.Retired != nil && (r.report.Retired.Skipped == "" || r.report.Retired.Refused) {
		return nil // it was compared resource by resource
	}
	if err := r.countDistinct(ctx); err != nil {
		return err
	}
	last, err := r.lastFull(ctx)
	if last == nil || err != nil {
		return err
	}
	for _, was := range last.Types {
		if types := r.journal.begun.Types; was.Type == columnar.Deleted || len(types) > 0 && !slices.Contains(types, was.Type) {
			continue // runs with such types stay
		}
		before, now := distinct(was), int64(0)
		if i := slices.IndexFunc(r.report.Types, func(t lake.TypeReport) bool { return t.Type == was.Type }); i >= 0 {
			now = distinct(r.report.Types[i])
		}
		if short(before, now) {
			r.report.OlderKept = fmt.Sprintf("the export has %s, more than a tenth fewer than the %d of the last full export",
				amount(now, was.Type+" resource", was.Type+" resources"), before)
			r.Log.Warn("the older runs stay live", "why", r.report.OlderKept)
			return nil
		}
	}
	return nil
}

// countDistinct has the report say how many resources of each type there are, each counted once,
// although it is not known how many came more than once: it reads the ids back from the run's
// parts. The next full run is compared with that, too.
//
// Rows do not tell. A full run also asks for changes, and so gets resources twice, and groups
// share resources: rows may hide that some are missing, or be fewer without any missing.
func (r *run) countDistinct(ctx context.Context) error {
	if r.report.Duplicates != nil {
		return nil
	}
	r.Log.Info("reading back the ids of the full run, to count its resources")
	for i := range r.report.Types {
		t := &r.report.Types[i]
		if t.Type == columnar.Deleted {
			continue
		}
		var ids idCount
		if err := r.eachKey(ctx, r.ownParts(), t.Type, func(id uint64, _ columnar.Key) { ids.add(id) }); err != nil {
			return fmt.Errorf("counting the %s resources: %w", t.Type, err)
		}
		t.Distinct = ids.count()
	}
	return nil
}

// distinct returns how many resources of a type a run has, each counted once. If the run did not
// find out, that is at most its rows.
func distinct(t lake.TypeReport) int64 {
	switch {
	case t.Distinct > 0:
		return t.Distinct
	case t.Duplicates != nil:
		return t.Rows - *t.Duplicates
	}
	return t.Rows
}

// lastFull returns the report of the feed's last full run with this run's filters, nil if there
// is none that can be read. With Options.Full, that may be one that had the older runs stay live.
func (r *run) lastFull(ctx context.Context) (*lake.Report, error) {
	for _, of := range slices.Backward(r.lease.Feed().Runs) {
		runs := []string{of.Run}
		switch {
		case of.Kind == ledger.KindCompaction:
			runs = of.Replaces
		case of.Kind == ledger.KindFull || of.Full:
		case r.Full && of.Status == ledger.StatusPartial: // perhaps in full, but not taken for it
		default:
			continue
		}
		for _, run := range slices.Backward(runs) {
			report, err := r.lake().Report(ctx, run)
			if whyUnread(err) != "" {
				continue
			}
			if err != nil {
				return nil, err
			}
			full := report.Kind == ledger.KindFull || of.Kind == ledger.KindIncremental && of.Full || report.OlderKept != ""
			held := report.OlderKept != "" || report.Retired != nil && report.Retired.Refused
			if full && (report.Status == ledger.StatusPublished || r.Full && held) && maps.Equal(report.Filters, r.journal.begun.Filters) {
				return report, nil
			}
		}
	}
	return nil, nil
}
