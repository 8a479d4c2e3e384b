package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/ledger"
)

// Cancellation is what [Cancel] ended.
type Cancellation struct {
	Feed     string    `json:"feed"`
	Run      string    `json:"run,omitempty"` // "": there was no unfinished run
	Started  time.Time `json:"started,omitzero"`
	Attempts int       `json:"attempts,omitempty"` // processes that had worked at it
	Parts    int       `json:"parts,omitempty"`    // staged ones that were thrown away

	// Deleted is how many exports were deleted at the server, Kept how many it did not let
	// go of, or could not be asked about: they end at the server's own time limit.
	Deleted int `json:"deleted,omitempty"`
	Kept    int `json:"kept,omitempty"`
}

// Cancel ends the feed's unfinished run, if there is one: what it has staged is thrown
// away, and the server is told to delete its exports. What is published and the
// watermarks stay as they are.
//
// A [*ledger.HeldError] says that another process works at the feed: a run that is under
// way is ended by a signal to its process. Killed half way, Cancel is to be called again.
// Workers and the options that limit parts are ignored.
func Cancel(ctx context.Context, o Options) (*Cancellation, error) {
	o = o.withDefaults()
	c := &Cancellation{Feed: o.Feed.Name}
	if _, err := ledger.Read(ctx, o.State, o.Feed.Name); errors.Is(err, fs.ErrNotExist) {
		return c, nil // nothing ever ran: no need to write that it exists
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
		r := runWithID(o, lease, o.Server, unfinished.Run, unfinished.Started)
		c.Run, c.Started, c.Attempts = r.id, unfinished.Started, unfinished.Attempts
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

// deletions counts what a server says to Delete.
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
