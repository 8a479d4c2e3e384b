package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Run is a run's ledger, open for writing under a lease. It is safe for concurrent use.
type Run struct {
	lease   *Lease
	id      string
	entries []entry      // those that counted when it was opened
	opening []byte       // the opening that accepts them
	opened  bool         // the opening is durable
	number  atomic.Int64 // of the last entry
	gone    atomic.Bool  // Forget was called
}

// OpenRun opens the ledger of a run, either a new one or one left by a process that is gone.
// What older leases have written up to now counts, as far as the leases after them have seen it;
// what they write from now on counts for nobody. Opening a run again returns the same Run.
//
// An error wraps [ErrLost] if a later lease has opened the run, or is a [*DamagedError] or the
// store's.
func (l *Lease) OpenRun(ctx context.Context, run string) (*Run, error) {
	if !IsName(run) {
		return nil, fmt.Errorf("%q is not a run name", run)
	}
	ctx, cancel := l.under(ctx)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.runs[run]
	if r == nil {
		there, err := list(ctx, l.store, run)
		if err != nil {
			return nil, err
		}
		if there.last() >= l.generation {
			return nil, l.late(ctx, there.last())
		}
		counted, err := there.counted(ctx, l.store, run)
		if err != nil {
			return nil, err
		}
		r = &Run{lease: l, id: run, entries: counted, opening: newOpening(l, counted)}
		r.number.Store(openingNumber)
		l.runs[run] = r
	}
	if !r.opened {
		// After a failure, the same opening is written again, since it may have come through.
		if err := l.store.Put(ctx, entryKey(run, entry{l.generation, openingNumber}), r.opening); err != nil {
			return nil, err
		}
		r.opened = true
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// late returns the error for a run that has entries of a generation which this lease does not
// know of.
func (l *Lease) late(ctx context.Context, generation int64) error {
	if err := l.Check(ctx); err != nil {
		return err
	}
	return fmt.Errorf("the run has entries of generation %d, but feed %s is at generation %d: "+
		"its object is older than its runs, or was created anew", generation, l.opts.Feed, l.generation)
}

// Entries returns the entries that counted when the run was opened, in the order in which their
// writes began: by generation, then by number. They are read on demand, a few ahead. An error
// ends them: ctx's cause, a [*DamagedError] or the store's.
func (r *Run) Entries(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return readEntries(ctx, r.lease.store, r.id, r.entries)
}

// Append adds an entry, which is one JSON value. When it returns nil, the entry is durable and
// counts. An entry that is appended after another's Append has returned comes after it.
//
// The error wraps [ErrLost] if this process has noticed that the lease was lost in the meantime:
// then the entry does not count, or only by chance. After an error of the store or of ctx, it
// may or may not count, so an entry that is appended again may be there twice.
func (r *Run) Append(ctx context.Context, content json.RawMessage) error {
	if !json.Valid(content) {
		return errors.New("a ledger entry is not JSON")
	}
	if r.gone.Load() {
		return fmt.Errorf("the ledger of run %s was removed", r.id)
	}
	ctx, cancel := r.lease.under(ctx)
	defer cancel()
	if err := r.lease.ensureHeld(ctx); err != nil {
		return err
	}
	key := entryKey(r.id, entry{r.lease.generation, r.number.Add(1)})
	if err := r.lease.store.Put(ctx, key, content); err != nil {
		if lost := r.lease.lost(); lost != nil {
			return lost
		}
		return err
	}
	return r.lease.lost()
}

// Forget removes the ledger of a run that the feed's object no longer names as unfinished. It
// refuses any other run, since another process may still need its entries. Nothing may be
// appended at the same time or afterwards.
//
// The entries are removed from the last to the first, so that if the process is killed, what is
// left is the ledger as it once was. Forgetting again goes on from there.
func (r *Run) Forget(ctx context.Context) error {
	ctx, cancel := r.lease.under(ctx)
	defer cancel()
	if u := r.lease.now.Load().feed.Unfinished; u != nil && u.Run == r.id {
		return fmt.Errorf("run %s is unfinished, so its ledger is needed", r.id)
	}
	r.gone.Store(true)
	there, err := list(ctx, r.lease.store, r.id)
	if err != nil {
		return err
	}
	if there.last() > r.lease.generation {
		return r.lease.late(ctx, there.last())
	}
	counted, err := there.counted(ctx, r.lease.store, r.id)
	if err != nil {
		return err
	}
	var keys []string
	for _, e := range there.removal(counted) {
		keys = append(keys, entryKey(r.id, e))
	}
	return r.lease.store.Remove(ctx, keys...)
}

// atOnce is how many small files are read at once.
const atOnce = 16

// readEntries reads a few entries at once, since each takes a request, and yields them in order.
func readEntries(ctx context.Context, s Store, run string, all []entry) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for from := 0; from < len(all); from += atOnce {
			some := all[from:min(from+atOnce, len(all))]
			contents := make([]json.RawMessage, len(some))
			group, ctx := errgroup.WithContext(ctx)
			for i, e := range some {
				group.Go(func() (err error) {
					contents[i], err = readEntry(ctx, s, entryKey(run, e))
					return err
				})
			}
			if err := group.Wait(); err != nil {
				yield(nil, err)
				return
			}
			for _, c := range contents {
				if !yield(c, nil) {
					return
				}
			}
		}
	}
}

func readEntry(ctx context.Context, s Store, key string) (json.RawMessage, error) {
	content, _, err := s.Load(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading a ledger entry: %w", err)
	}
	if !json.Valid(content) {
		return nil, damagedEntry(key, errors.New("it is not JSON"))
	}
	return content, nil
}

func damagedEntry(key string, err error) error {
	return &DamagedError{Key: key, Err: err, Hint: "begin a new run (run --fresh): nothing of this one is published yet"}
}
