package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/transport"
)

// publishers is how many parts are published, or thrown away, at once.
const publishers = 8

// fillReport adds what the run's journal knows to the report.
func (r *run) fillReport() {
	if r.journal == nil {
		return
	}
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	if r.journal.begun != nil {
		r.report.Kind, r.report.Filters = r.journal.begun.Kind, r.journal.begun.Filters
		r.report.GroupSearch = r.journal.begun.GroupSearch
	}
	for _, x := range r.journal.exports {
		if x.Role == roleMembers {
			continue // what a server says about our own parameters says nothing about the data
		}
		for _, i := range x.issues {
			r.report.Issues.Add(i)
		}
		if x.refused {
			continue
		}
		if x.complete != nil && !r.ofLocalFiles() {
			r.report.addExport(r.Feed.Request.Level, x)
		}
		for _, f := range x.files {
			if f.end != nil {
				r.report.addFile(f)
			}
		}
	}
	for _, i := range r.report.Issues {
		r.Log.Warn("the server reported issues with its export", "severity", i.Severity, "code", i.Code, "count", i.Count)
	}
}

// publish makes all staged parts visible, and then the run. Readers that go by the feed's object
// see nothing of the run until the one write of that object, and all of it after. Another
// process may redo publish from any point.
func (r *run) publish(ctx context.Context) error {
	members, err := r.membersNow(ctx) // while nothing is visible yet: lists may be damaged
	if err != nil {
		return err
	}
	if err := r.publishParts(ctx); err != nil {
		return err
	}
	r.report.addDuplicates(r.seen)
	if err := r.retireAbsent(ctx); err != nil {
		return err
	}
	if err := r.checkShort(ctx); err != nil {
		return err
	}
	for _, q := range r.journal.quarantined {
		if lake.IsServerErrors(q.Key) {
			r.report.ServerErrors = append(r.report.ServerErrors, q.Key)
		} else {
			r.report.Quarantine = append(r.report.Quarantine, q.Key)
		}
	}
	for _, t := range r.report.Types {
		if t.Strays > 0 {
			r.Log.Info("resources came in files of another type; they are published under their own", "type", t.Type, "resources", t.Strays)
		}
	}
	r.report.Full = r.inFull()
	r.report.markPublished()
	return r.addToFeed(ctx, members)
}

// publishParts makes every staged part visible to readers that list folders, and adds it to the
// report.
func (r *run) publishParts(ctx context.Context) error {
	r.enter(Publishing)
	// The fence: an old holder of the lease that wakes up here finds out that it has lost it.
	if err := r.lease.Check(ctx); err != nil {
		return err
	}
	if err := r.eachReceipt(ctx, func(ctx context.Context, p stagedPart) error {
		err := r.storeOf(p.Receipt.Key).Confirm(ctx, p.Receipt)
		if errors.Is(err, fs.ErrNotExist) {
			return &stagingGoneError{err}
		}
		return err
	}); err != nil {
		return err
	}
	if err := r.eachReceipt(ctx, func(ctx context.Context, p stagedPart) error {
		return r.storeOf(p.Receipt.Key).Publish(ctx, p.Receipt)
	}); err != nil {
		return err
	}
	for _, p := range r.journal.parts {
		r.report.addPart(p)
	}
	return nil
}

// eachReceipt calls do for everything that is staged, from several goroutines.
func (r *run) eachReceipt(ctx context.Context, do func(context.Context, stagedPart) error) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(publishers)
	all := slices.Clone(r.journal.parts)
	for _, q := range r.journal.quarantined {
		all = append(all, stagedPart{Receipt: q})
	}
	for _, p := range all {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(gctx, p) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// addToFeed adds the run to the feed, together with its list of members, and moves the
// watermark, in one write.
func (r *run) addToFeed(ctx context.Context, list []byte) error {
	members, err := r.putMembers(ctx, list)
	if err != nil {
		return err
	}
	feed := r.lease.Feed()
	lists := []string{feed.Members, members}
	r.moveWatermark(&feed, members, r.Now())
	r.report.Watermarks = map[string]string{}
	for t, w := range feed.Watermarks {
		r.report.Watermarks[t] = w.Time
	}
	for _, m := range feed.History {
		if m.Run == r.id {
			r.report.Moved = append(r.report.Moved, lake.MoveReport{Type: m.Type, From: m.From, To: m.To})
		}
	}
	r.report.ExportKept, _ = r.keepsJobs()
	r.report.finish(r.Now())
	if err := r.lake().PutReport(ctx, &r.report.Report); err != nil {
		return err
	}
	gone := r.droppableNow(ctx)
	err = r.conclude(ctx, func(f *ledger.Feed) error {
		r.moveWatermark(f, members, r.report.Finished)
		f.LastFailure = nil
		f.LastSuccess = &ledger.Success{At: r.report.Finished, Run: r.id}
		if !r.report.Empty() {
			f.Runs = append(f.Runs, r.publishedRun())
		}
		f.Drop(gone, r.report.Finished)
		return nil
	})
	if err != nil {
		return err
	}
	r.Log.Info("published", "parts", len(r.report.Parts), "resources", r.report.Resources, "quarantined", r.report.Quarantined)

	// The run has succeeded. If any of what follows fails, the next run does it.
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { r.tryPutManifests(ctx) })
	beside.Go(func() { r.dropLists(ctx, lists) })
	// End the exports before the ledger goes, since it says which ones there are. If the server
	// does not answer, the next run tries again.
	if !r.endJobs(ctx) {
		return nil
	}
	if err := r.forget(ctx); err != nil && ctx.Err() == nil {
		r.Log.Warn("could not remove the run's ledger; the next run tries again", "error", err)
	}
	return nil
}

// dropLists removes lists of members, except the one that the feed names.
func (r *run) dropLists(ctx context.Context, keys []string) {
	for _, key := range keys {
		if key == "" || key == r.lease.Feed().Members {
			continue
		}
		if err := r.State.Remove(ctx, key); err != nil && ctx.Err() == nil {
			r.Log.Warn("could not remove an old list of members", "key", key, "error", err)
		}
	}
}

func (r *run) publishedRun() ledger.PublishedRun {
	full := r.report.Kind == ledger.KindIncremental && r.report.Status == ledger.StatusPublished && r.inFull()
	return ledger.PublishedRun{Full: full, Supersedes: r.supersedes, Run: r.id, Published: r.report.Finished, TransactionTime: r.report.TransactionTime, Kind: r.report.Kind,
		Status: r.report.Status, Resources: r.report.Resources, Parts: int64(len(r.report.Parts)), Bytes: r.report.ParquetBytes}
}

// droppableNow returns the runs that need not be kept once r is published.
func (r *run) droppableNow(ctx context.Context) []string {
	next := r.lease.Feed()
	if !r.report.Empty() {
		next.Runs = append(next.Runs, r.publishedRun())
	}
	gone, err := r.lake().Droppable(ctx, next, r.Feed.Keep, r.report.Finished)
	if err != nil {
		r.Log.Warn("could not find out which older runs need not be kept; the next run or gc tries again", "error", err)
	}
	return gone
}

// tryPutManifests writes the symlink manifests after a change that already counts, even if ctx
// has ended in the meantime. The next run repairs what fails here.
func (r *run) tryPutManifests(ctx context.Context) {
	ctx, cancel := transport.Linger(ctx, durableTime)
	defer cancel()
	if err := r.lake().PutManifests(ctx, r.lease); err != nil && ctx.Err() == nil {
		r.Log.Warn("could not write the symlink manifests; the next run tries again", "error", err)
	}
}
