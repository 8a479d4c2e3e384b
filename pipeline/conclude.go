package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// conclude makes the run count, together with change, in one write of the feed's object.
// Canceling ctx does not interrupt it, so that whoever cancels still learns whether it was
// written.
func (r *run) conclude(ctx context.Context, change func(*ledger.Feed) error) error {
	durable, cancel := windDown(ctx)
	defer cancel()
	err := r.lease.Update(durable, func(f *ledger.Feed) error {
		if slices.Contains(f.Ended, r.id) {
			return nil // it counts already
		}
		if err := change(f); err != nil {
			return err
		}
		f.Unfinished = nil
		f.Ended = append(f.Ended, r.id)
		return nil
	})
	if err == nil {
		return nil
	}
	// The write may have come through all the same.
	again, cancel := windDown(ctx)
	defer cancel()
	if unfinished, err := r.unfinished(again); err == nil && !unfinished {
		return nil
	}
	return r.notDurable(err)
}

// addForGood adds an entry to the run's ledger that must be there even if ctx has ended.
func (r *run) addForGood(ctx context.Context, e entry) error {
	durable, cancel := windDown(ctx)
	defer cancel()
	return r.notDurable(r.journal.add(durable, e))
}

// notDurable says of a write that ran out of durableTime what it was.
func (r *run) notDurable(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &sink.Error{Doing: "writing down what was done", Where: r.State.String(), Err: fmt.Errorf("no answer in %v", durableTime),
		Hint: "run again: it finds out how far this run came, and goes on"}
}
