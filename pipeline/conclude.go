package pipeline

import (
	"context"
	"errors"
	"fmt"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// conclude makes change and marks the run as ended, in one write of the feed's object: from
// then on the run counts. Canceling ctx does not interrupt the write, so that whoever cancels
// still learns whether it was done.
//
// A process concludes a run at most once, and Update never calls its function again when a write
// has come through unheard, so change never sees its own effect.
func (r *run) conclude(ctx context.Context, change func(*ledger.Feed) error) error {
	durable, cancel := windDown(ctx)
	defer cancel()
	err := r.lease.Update(durable, func(f *ledger.Feed) error {
		if err := change(f); err != nil {
			return err
		}
		f.End(r.id)
		return nil
	})
	if err == nil {
		return nil
	}
	// The write may have gone through despite the error.
	again, cancel := windDown(ctx)
	defer cancel()
	if unfinished, err := r.unfinished(again); err == nil && !unfinished {
		return nil
	}
	return r.notDurable(err)
}

// noteFailure has the feed's object say that the run failed, for monitoring that sees only the
// state. A partial run is no failure: it has published.
func noteFailure(lease *ledger.Lease, report *lake.Report, err error) {
	if _, partial := errors.AsType[*PartialError](err); err == nil || partial {
		return
	}
	lease.Fail(ledger.Failure{At: report.Finished, Run: report.Run, Error: report.Error})
}

// addForGood adds an entry that must get into the run's ledger even if ctx has ended.
func (r *run) addForGood(ctx context.Context, e entry) error {
	durable, cancel := windDown(ctx)
	defer cancel()
	return r.notDurable(r.journal.add(durable, e))
}

// notDurable explains the error of a write that ran out of durableTime. It returns other
// errors as they are.
func (r *run) notDurable(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &sink.Error{Doing: "recording what was done", Where: r.State.String(), Err: fmt.Errorf("no answer in %v", durableTime),
		Hint: "run again: it finds out how far this run got, and goes on from there"}
}
