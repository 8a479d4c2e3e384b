package pipeline

import (
	"context"
	"errors"
	"time"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// durableTime is how long a write may take that a canceled ctx does not stop.
const durableTime = 30 * time.Second

// conclude is the one write of the feed's object that makes the run count, with what change
// does. Nobody can stop it: whoever tries to shall not have to ask whether it was
// written.
func (r *run) conclude(ctx context.Context, change func(*ledger.Feed) error) error {
	durable, cancel := context.WithTimeout(context.WithoutCancel(ctx), durableTime)
	defer cancel()
	err := r.lease.Update(durable, func(f *ledger.Feed) error {
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
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), durableTime)
	defer cancel()
	if unfinished, unknown := r.unfinished(again); !unfinished && unknown == nil {
		return nil
	}
	return r.notDurable(err)
}

// addForGood adds an entry to the run's ledger that must be there even if ctx has ended.
func (r *run) addForGood(ctx context.Context, e entry) error {
	durable, cancel := context.WithTimeout(context.WithoutCancel(ctx), durableTime)
	defer cancel()
	return r.notDurable(r.journal.add(durable, e))
}

// notDurable says of a write that ran out of durableTime what it was.
func (r *run) notDurable(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &sink.Error{Doing: "writing down what was done", Where: r.State.String(), Err: errors.New("no answer in 30 s"),
		Hint: "run again: it finds out how far this run came, and goes on"}
}
