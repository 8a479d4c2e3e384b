package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/ledger"
)

// Cancellation reports what [Cancel] ended.
type Cancellation struct {
	Feed      string    `json:"feed"`
	Run       string    `json:"run,omitempty"` // "" if there was no unfinished run
	Started   time.Time `json:"started,omitzero"`
	Processes int       `json:"attempts,omitempty"` // how many processes had worked on it
	Parts     int       `json:"parts,omitempty"`    // how many staged parts were thrown away

	// Deleted is how many exports were deleted at the server. Kept is how many it did not
	// delete, or could not be asked to. If it gave no answer, or Options.Server is nil, the next
	// Run asks it; the others end at the server's own time limit.
	Deleted int `json:"deleted,omitempty"`
	Kept    int `json:"kept,omitempty"`
}

// Cancel ends the feed's unfinished run, if there is one: it throws away what the run has
// staged, and tells the server to delete the run's exports. What is published and the
// watermarks stay as they are.
//
// A [*ledger.HeldError] says that another process is working on the feed; to end a run that
// is under way, signal its process. If Cancel is killed halfway, call it again. Workers and
// the options that limit parts are ignored.
func Cancel(ctx context.Context, o Options) (*Cancellation, error) {
	o = o.withDefaults()
	c := &Cancellation{Feed: o.Feed.Name}
	if _, err := ledger.Read(ctx, o.State, o.Feed.Name); errors.Is(err, fs.ErrNotExist) {
		return c, nil // nothing ever ran; taking the lease would create the feed's object
	}
	deleted := &deletions{Server: o.Server}
	if o.Server != nil {
		o.Server = deleted
	}
	return c, withLease(ctx, o, func(lease *ledger.Lease) error {
		unfinished := lease.Feed().Unfinished
		if unfinished == nil {
			return nil
		}
		ctx := lease.Context()
		r := runWithID(o, lease, unfinished.Run, unfinished.Started)
		c.Run, c.Started, c.Processes = r.id, unfinished.Started, unfinished.Processes
		if err := r.open(ctx); err != nil {
			if _, ok := errors.AsType[*ledger.DamagedError](err); ok {
				return r.abandon(ctx, err)
			}
			return err
		}
		c.Parts = len(r.journal.parts)
		jobs, before := len(r.jobs()), deleted.n
		err := r.giveUp(ctx, "it was canceled")
		c.Deleted, c.Kept = deleted.n-before, jobs-(deleted.n-before)
		return err
	})
}

// deletions is a [Server] that counts the exports it has deleted.
type deletions struct {
	Server
	n int
}

// Delete implements [Server].
func (d *deletions) Delete(ctx context.Context, job bulk.Job) error {
	err := d.Server.Delete(ctx, job)
	if err == nil {
		d.n++
	}
	return err
}
