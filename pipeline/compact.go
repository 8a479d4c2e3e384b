package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// CompactOptions says what [Compact] merges.
type CompactOptions struct {
	// Types are the resource types whose parts are merged, "deleted" for tombstones.
	// Default: all.
	Types []string
}

// Compaction reports what [Compact] did.
type Compaction struct {
	Feed string         `json:"feed"`
	Runs []CompactedRun `json:"runs"`
}

// CompactedRun is a run that was made from others.
type CompactedRun struct {
	Run      string     `json:"run"`
	Replaces []string   `json:"replaces"`
	Rows     int64      `json:"rows"` // the same before and after
	Before   PartsTotal `json:"before"`
	After    PartsTotal `json:"after"`
}

// PartsTotal is the number of parts and their size.
type PartsTotal struct {
	Parts int   `json:"parts"`
	Bytes int64 `json:"bytes"`
}

// CompactBlockedError reports that a feed cannot be compacted now because it has an
// unfinished run, which is to be resumed.
type CompactBlockedError struct {
	Feed, Run string
	Started   time.Time
}

func (e *CompactBlockedError) Error() string {
	return fmt.Sprintf("feed %s cannot be compacted: its run %s, begun %s, is unfinished", e.Feed, e.Run, e.Started.Format(time.RFC3339))
}

// Compact merges the small parts of a feed's live runs, those under half of o.PartBytes, into
// large ones, encoded as o.Parquet says. Larger parts are copied as they are. Consecutive runs
// become one run of kind compaction, with the same rows, each with its own __origin. Readers
// see either the old runs or the new one; the old runs' files stay until [GC] removes them.
// Watermarks, members and filters stay as they are.
//
// A full run also begins a new run in the result, so that retention can still drop what came
// before it. Runs of large parts are left as they are. A feed with nothing to merge is left
// alone.
//
// Of o.Feed, only Name is used. Memory is that of o.Workers writers. Errors are a
// [*ledger.HeldError], a [*CompactBlockedError], the store's and the parts'. A compaction
// that fails or is killed has changed nothing that is live. What it has staged is thrown
// away then, or by the feed's next Run, Compact or Cancel.
func Compact(ctx context.Context, o Options, c CompactOptions) (*Compaction, error) {
	o = o.withDefaults()
	o.PartBytes = cmp.Or(o.PartBytes, 256<<20)
	o.Server = nil
	if err := o.Parquet.check(); err != nil {
		return nil, err
	}
	done := &Compaction{Feed: o.Feed.Name, Runs: []CompactedRun{}}
	feed, err := ledger.Read(ctx, o.State, o.Feed.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return done, nil
	}
	if err != nil {
		return nil, err
	}
	o.Feed.Source, o.Feed.Purpose = feed.Source, feed.Purpose
	return done, withLease(ctx, o, func(lease *ledger.Lease) error {
		ctx := lease.Context()
		if err := discardCompaction(ctx, o, lease); err != nil {
			return err
		}
		plan, err := planCompactions(ctx, o, c, lease.Feed())
		if err != nil {
			return err
		}
		if len(plan) == 0 { // a killed compaction may not have got to this
			return o.lake().PutManifests(ctx, lease)
		}
		for _, runs := range plan {
			x := &compaction{run: newRun(o, lease), CompactOptions: c, of: runs}
			made, err := x.do(ctx)
			if err != nil {
				return err
			}
			done.Runs = append(done.Runs, *made)
		}
		return nil
	})
}

// discardCompaction throws away what an earlier compaction has left. Any other unfinished run
// is a [*CompactBlockedError].
func discardCompaction(ctx context.Context, o Options, lease *ledger.Lease) error {
	u := lease.Feed().Unfinished
	if u == nil {
		return nil
	}
	j, err := openJournal(ctx, lease, u.Run)
	if err != nil {
		return err
	}
	if j.begun != nil && j.begun.Kind != ledger.KindCompaction {
		return &CompactBlockedError{Feed: o.Feed.Name, Run: u.Run, Started: u.Started}
	}
	return discardUnfinished(ctx, o, lease)
}

// compaction makes one run from several.
type compaction struct {
	*run
	CompactOptions
	of   []lake.LiveRun
	left leftovers
}

func (x *compaction) do(ctx context.Context) (*CompactedRun, error) {
	made, err := x.compact(ctx)
	if err == nil {
		return made, nil
	}
	if x.journal != nil && !errors.Is(err, ledger.ErrLost) && !errors.Is(context.Cause(ctx), ledger.ErrLost) {
		stop, cancel := windDown(ctx)
		defer cancel()
		if failed := x.giveUp(stop, "it failed"); failed != nil {
			x.Log.Warn("could not clean up after the failed compaction; the next run tries again", "error", failed)
		}
	}
	return nil, err
}

func (x *compaction) compact(ctx context.Context) (*CompactedRun, error) {
	if err := x.begin(ctx, ledger.KindCompaction, noServer()...); err != nil {
		return nil, err
	}
	if err := x.stageParts(ctx); err != nil {
		return nil, err
	}
	if err := x.publishParts(ctx); err != nil {
		return nil, err
	}
	return x.replace(ctx)
}

// stageParts merges the parts type by type, in the order of their runs.
func (x *compaction) stageParts(ctx context.Context) error {
	merge := map[string][]lake.Part{}
	var whole []lake.Part
	for _, r := range x.of {
		for _, p := range r.List {
			if x.merges(p, x.PartBytes) {
				merge[p.Type] = append(merge[p.Type], p)
			} else {
				whole = append(whole, p)
			}
		}
	}
	for t, parts := range merge {
		if len(parts) == 1 {
			whole = append(whole, parts[0])
			delete(merge, t)
		}
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(x.Workers)
	for t, parts := range merge {
		group.Go(func() error { return x.merge(gctx, t, parts) })
	}
	for _, p := range whole {
		group.Go(func() error { return x.copyWhole(gctx, p) })
	}
	if err := errors.Join(group.Wait(), context.Cause(ctx)); err != nil {
		return errors.Join(err, cleanUp(ctx, x.left.throwAway))
	}
	return nil
}

// replace puts the run into the feed in place of those it was made from, in one write.
func (x *compaction) replace(ctx context.Context) (*CompactedRun, error) {
	made := &CompactedRun{Run: x.id}
	run := lake.Compacted(x.id, x.of)
	rows := int64(0)
	for _, r := range x.of {
		made.Replaces = append(made.Replaces, r.Run)
		for _, p := range r.List {
			rows += p.Rows
			made.Before.Parts++
			made.Before.Bytes += p.Bytes
		}
		report, err := x.lake().Report(ctx, r.Run)
		if err != nil {
			return nil, err
		}
		x.report.takeExports(report, len(made.Replaces) == 1)
	}
	for _, p := range x.report.Parts {
		made.Rows += p.Rows
	}
	if made.Rows != rows {
		return nil, fmt.Errorf("compacting feed %s: %d rows became %d", x.Feed.Name, rows, made.Rows)
	}
	made.After = PartsTotal{len(x.report.Parts), x.report.ParquetBytes}
	x.report.Status, x.report.Kind, x.report.Resources, x.report.TransactionTime = run.Status, run.Kind, run.Resources, run.TransactionTime
	x.report.Replaces = made.Replaces
	x.report.finish(x.Now())
	if err := x.lake().PutReport(ctx, &x.report.Report); err != nil {
		return nil, err
	}
	run.Published, run.Parts, run.Bytes = x.report.Finished, int64(made.After.Parts), made.After.Bytes
	err := x.conclude(ctx, func(f *ledger.Feed) error {
		at := slices.IndexFunc(f.Runs, func(r ledger.PublishedRun) bool { return r.Run == made.Replaces[0] })
		if at < 0 {
			return fmt.Errorf("compacting feed %s: run %s is no longer live", x.Feed.Name, made.Replaces[0])
		}
		f.Drop(made.Replaces, run.Published)
		f.Runs = slices.Insert(f.Runs, at, run)
		return nil
	})
	if err != nil {
		return nil, err
	}
	x.Log.Info("compacted", "runs", len(x.of), "rows", rows, "parts_before", made.Before.Parts, "parts_after", made.After.Parts)
	x.tryPutManifests(ctx)
	if err := x.forget(ctx); err != nil && ctx.Err() == nil {
		x.Log.Warn("could not remove the compaction's ledger; the next run tries again", "error", err)
	}
	return made, nil
}
