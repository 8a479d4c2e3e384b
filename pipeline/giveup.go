package pipeline

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// afterFailure decides what becomes of what the run has staged, and returns err.
func (r *run) afterFailure(ctx context.Context, err error) error {
	stop, cancel := windDown(ctx)
	defer cancel()
	cause := context.Cause(ctx)
	r.enter(Ending)
	switch lost := errors.Is(cause, ledger.ErrLost); {
	case lost || errors.Is(err, ledger.ErrLost): // what is staged is another process's now
	case errors.Is(cause, ErrGiveUp), cause == nil && !r.worthKeeping():
		if failed := r.giveUp(stop, "it failed"); failed != nil {
			r.Log.Warn("what the failed run has left could not be removed; the next one tries again", "error", failed)
		}
	default:
		unfinished, failed := r.unfinished(stop) // what is loose may be in another process's parts by now
		if unfinished && failed == nil {
			failed = r.discardLoose(stop)
		}
		if failed != nil {
			r.Log.Debug("what was half staged could not be removed; the next run does it", "error", failed)
		}
		again := r.report.Resumed && cause == nil && aboutTheExport(err) // see Run
		if r.journal != nil && r.worthKeeping() && !again {
			r.Log.Info("what is done so far is kept; run again to go on from there")
		}
	}
	return err
}

// worthKeeping says whether there is something to go on with.
func (r *run) worthKeeping() bool {
	j := r.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.begun == nil || j.begun.Kind == ledger.KindFiles {
		return false
	}
	for _, x := range j.exports {
		if x.job != nil && !x.done() {
			return true
		}
	}
	return len(j.parts) > 0
}

// giveUp throws everything away that the run has staged, published or started. Killed
// in between, the next run does the rest.
//
// A run that was published all the same, though nobody heard of it, is let be.
func (r *run) giveUp(ctx context.Context, why string) error {
	if unfinished, err := r.unfinished(ctx); err != nil || !unfinished {
		return err
	}
	if r.journal.givenUp == "" {
		if err := r.journal.add(ctx, entry{GivenUp: why}); err != nil {
			return err
		}
		// The entry may have taken as long as this machine slept, and another process may have
		// taken the run over before it was there, and published it.
		if unfinished, err := r.unfinished(ctx); err != nil || !unfinished {
			return err
		}
	}
	r.journal.mu.Lock()
	for _, key := range r.journal.unsure {
		r.journal.loose[key] = true
	}
	r.journal.mu.Unlock()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(publishers)
	for _, p := range r.journal.parts {
		group.Go(func() error { return r.storeOf(p.Receipt.Key).Abort(gctx, p.Receipt) })
	}
	for _, q := range r.journal.bad {
		group.Go(func() error { return r.storeOf(q.Key).Abort(gctx, q) })
	}
	if err := errors.Join(group.Wait(), r.discardLoose(ctx)); err != nil {
		return fmt.Errorf("throwing away what run %s has staged: %w", r.id, err)
	}
	if r.journal.begun != nil { // it may have been about to be published
		// One that has not begun has written neither: its ledger is gone because it was published,
		// if the feed's object is one of before, that somebody has put back.
		if err := r.State.Remove(ctx, lake.PartsKey(r.id), lake.ReportKey(r.id)); err != nil {
			return err
		}
	}
	err := r.lease.Update(ctx, func(f *ledger.Feed) error {
		f.Unfinished = nil
		f.Ended = append(f.Ended, r.id)
		return nil
	})
	if err != nil || !r.deleteJobs(ctx) { // the next run asks the server once more
		return err
	}
	return r.forget(ctx)
}

// abandon gives up a run whose ledger cannot be read, for why. What it has staged is gc's, and
// its exports are the server's. Killed in between, tidyRuns does the rest.
func (r *run) abandon(ctx context.Context, why error) error {
	r.Log.Warn("the unfinished run is thrown away unread: gc removes what it has staged, and its exports stay at the server", "error", why)
	if unfinished, err := r.unfinished(ctx); err != nil || !unfinished {
		return err
	}
	if err := r.State.Remove(ctx, lake.PartsKey(r.id), lake.ReportKey(r.id)); err != nil { // see giveUp
		return err
	}
	err := r.lease.Update(ctx, func(f *ledger.Feed) error {
		f.Unfinished = nil
		f.Ended = append(f.Ended, r.id)
		return nil
	})
	if err != nil {
		return err
	}
	return r.forgetUnread(ctx)
}

// forgetUnread is forget for a ledger that cannot be read. Where the state is apart from the
// parts, a note stays for gc, which would take the run's for another state's without it.
func (r *run) forgetUnread(ctx context.Context) error {
	if r.lake().Apart() {
		if err := r.State.Put(ctx, ledger.Folder(r.id)+"unread.json", []byte("{}\n")); err != nil {
			return err
		}
	}
	var keys []string
	err := r.State.List(ctx, ledger.Folder(r.id)+"ledger/", func(key string, _ int64) error {
		keys = append(keys, key)
		return nil
	})
	if err := errors.Join(err, r.State.Remove(ctx, keys...)); err != nil {
		return err
	}
	return r.dropEnded(ctx)
}

// unfinished asks the feed's object whether the run is neither published nor given up.
func (r *run) unfinished(ctx context.Context) (bool, error) {
	err := r.lease.Update(ctx, func(*ledger.Feed) error { return nil })
	u := r.lease.Feed().Unfinished
	return u != nil && u.Run == r.id, err
}

// discardLoose removes what may have been staged under keys of the run and is in no
// part.
func (r *run) discardLoose(ctx context.Context) error {
	if r.journal == nil {
		return nil
	}
	r.journal.mu.Lock()
	loose := make([]string, 0, len(r.journal.loose))
	for key := range r.journal.loose {
		loose = append(loose, key)
	}
	r.journal.mu.Unlock()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(publishers)
	for _, key := range loose {
		group.Go(func() error { return r.storeOf(key).Discard(gctx, key) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	for _, key := range loose {
		delete(r.journal.loose, key)
	}
	return nil
}
