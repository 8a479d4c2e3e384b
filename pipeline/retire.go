package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// retirement is the ledger's entry about what a run has retired.
type retirement struct {
	Parts  []stagedPart      `json:"parts,omitempty"`
	Report lake.RetireReport `json:"report"`
}

// retiredFile is the __origin.file of tombstones that no server sent.
const retiredFile = "retired"

// retireAbsent makes tombstones for resources that are current but missing from this full run,
// if the feed wants that. The run's parts are published by now, but not live yet. Only what came
// from exports like this run's is considered: those with the same filters, types and groups.
func (r *run) retireAbsent(ctx context.Context) error {
	if !r.Feed.Retire || r.report.Kind != ledger.KindFull {
		return nil
	}
	if done := r.journal.retired; done != nil { // done before the run was cut off
		r.report.Retired = &done.Report
		return nil
	}
	if why := r.cannotRetire(); why != "" {
		r.report.Retired = &lake.RetireReport{Skipped: why}
		r.Log.Warn("nothing is retired", "why", why)
		return nil
	}
	a := &absence{run: r, out: tombstones{run: r}}
	done, err := a.retire(ctx)
	if why := whyUnread(err); why != "" { // live runs of this feed, or of another one with the same ids
		r.Log.Warn("nothing is retired", "why", why)
		if err = a.out.abort(ctx); err == nil {
			done = &retirement{Report: lake.RetireReport{Skipped: why}}
		}
	}
	if err == nil {
		err = r.journal.add(ctx, entry{Retired: done})
	}
	if err != nil {
		return errors.Join(err, cleanUp(ctx, a.out.abort))
	}
	for _, p := range done.Parts {
		if err := r.Sink.Publish(ctx, p.Receipt); err != nil {
			return err
		}
		r.report.addPart(p)
	}
	r.report.Retired = &done.Report
	r.Log.Info("retired resources that the full run lacks", "resources", done.Report.Resources)
	return nil
}

// whyUnread says which part of the live runs is missing or unusable, which it would be the next
// night too. It returns "" for any other error.
func whyUnread(err error) string {
	_, damaged := errors.AsType[*ledger.DamagedError](err)
	_, newer := errors.AsType[*ledger.VersionError](err)
	if errors.Is(err, fs.ErrNotExist) || damaged || newer {
		return fmt.Sprintf("not all live runs can be read: %v", err)
	}
	return ""
}

// cannotRetire returns why this run cannot tell what is gone, "" if it can.
func (r *run) cannotRetire() string {
	switch q := r.Feed.Request; {
	case r.report.Issues.Failed() > 0:
		return "the server reported errors"
	case r.report.Quarantined > 0:
		return "lines are in quarantine"
	case instantOf(r.report.TransactionTime) == never:
		return "the server gave no readable transactionTime"
	case !q.Since.IsZero() || !q.Until.IsZero():
		return "the feed has since or until, so its full runs do not hold everything"
	}
	return ""
}
