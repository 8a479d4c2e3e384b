package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// afterFailure keeps what the run has staged or throws it away, and returns err.
func (r *run) afterFailure(ctx context.Context, err error) error {
	stop, cancel := windDown(ctx)
	defer cancel()
	cause := context.Cause(ctx)
	r.enter(Ending)
	switch lost := errors.Is(cause, ledger.ErrLost); {
	case lost || errors.Is(err, ledger.ErrLost): // what is staged now belongs to another process
	case errors.Is(cause, ErrGiveUp), cause == nil && !r.worthKeeping():
		if failed := r.giveUp(stop, "it failed"); failed != nil {
			r.Log.Warn("could not clean up after the failed run; the next run tries again", "error", failed)
		}
	default:
		unfinished, failed := r.unfinished(stop) // else what is uncommitted may be in another process's parts by now
		if unfinished && failed == nil {
			failed = r.discardUncommitted(stop)
		}
		if failed != nil {
			r.Log.Debug("could not remove what was half staged; the next run does", "error", failed)
		}
		again := r.report.Resumed && cause == nil && aboutTheExport(err) // see Run
		if r.journal != nil && r.worthKeeping() && !again {
			r.Log.Info("what is done so far is kept; run again to resume")
		}
	}
	return err
}

// worthKeeping reports whether there is anything to resume.
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

// giveUp throws away everything that the run has staged, published or started. If it is killed
// halfway, the next run does the rest.
//
// A run whose publishing went through after all, unnoticed, is left alone.
func (r *run) giveUp(ctx context.Context, why string) error {
	if unfinished, err := r.unfinished(ctx); err != nil || !unfinished {
		return err
	}
	if r.journal.givenUp == "" {
		if err := r.journal.add(ctx, entry{GivenUp: why}); err != nil {
			return err
		}
		// This machine may have slept while the entry was being written. Before the entry was
		// there, another process may have taken over the run and published it.
		if unfinished, err := r.unfinished(ctx); err != nil || !unfinished {
			return err
		}
	}
	r.journal.dismissDoubts()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(publishers)
	for _, p := range r.journal.parts {
		group.Go(func() error { return r.storeOf(p.Receipt.Key).Abort(gctx, p.Receipt) })
	}
	for _, q := range r.journal.quarantined {
		group.Go(func() error { return r.storeOf(q.Key).Abort(gctx, q) })
	}
	if err := errors.Join(group.Wait(), r.discardUncommitted(ctx)); err != nil {
		return fmt.Errorf("throwing away what run %s staged: %w", r.id, err)
	}
	if r.journal.begun != nil { // it may have been about to be published
		// A run that has not begun has written neither file. If they exist, the run was published
		// and its ledger removed, and somebody has since restored an older feed object.
		if err := r.State.Remove(ctx, lake.PartsKey(r.id), lake.ReportKey(r.id)); err != nil {
			return err
		}
	}
	err := r.lease.Update(ctx, func(f *ledger.Feed) error {
		f.End(r.id)
		return nil
	})
	if err != nil || !r.deleteJobs(ctx) { // the next run asks the server again
		return err
	}
	return r.forget(ctx)
}

// abandon gives up a run whose ledger cannot be read; why is the reason. What the run has staged
// is left to gc, and its exports to the server. If abandon is killed halfway, tidyRuns does the
// rest.
func (r *run) abandon(ctx context.Context, why error) error {
	r.Log.Warn("throwing away the unfinished run, whose ledger is unreadable: gc removes what it staged, and its exports stay at the server", "error", why)
	if unfinished, err := r.unfinished(ctx); err != nil || !unfinished {
		return err
	}
	if err := r.State.Remove(ctx, lake.PartsKey(r.id), lake.ReportKey(r.id)); err != nil { // see giveUp
		return err
	}
	err := r.lease.Update(ctx, func(f *ledger.Feed) error {
		f.End(r.id)
		return nil
	})
	if err != nil {
		return err
	}
	return r.forgetUnread(ctx)
}

// forgetUnread is forget for a ledger that cannot be read. If the state is apart from the parts,
// it leaves a note for gc, which would otherwise take the run's parts for those of another state.
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

// unfinished reports whether the run is neither published nor given up, by the feed's object as
// it is now.
func (r *run) unfinished(ctx context.Context) (bool, error) {
	err := r.lease.Check(ctx)
	u := r.lease.Feed().Unfinished
	return u != nil && u.Run == r.id, err
}

// discardUncommitted removes whatever may have been staged under the run's keys but is in no
// part.
func (r *run) discardUncommitted(ctx context.Context) error {
	if r.journal == nil {
		return nil
	}
	r.journal.mu.Lock()
	keys := slices.Collect(maps.Keys(r.journal.uncommitted))
	r.journal.mu.Unlock()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(publishers)
	for _, key := range keys {
		group.Go(func() error { return r.storeOf(key).Discard(gctx, key) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	for _, key := range keys {
		delete(r.journal.uncommitted, key)
	}
	return nil
}
