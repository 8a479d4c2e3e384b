package pipeline

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/ledger"
)

// GCOptions say what [GC] removes.
type GCOptions struct {
	// Grace is for how long a run's files stay when it is live no longer, and those of
	// runs that are no feed's: readers may still be reading them, and a process that was
	// paused may still write some. Default 24 hours; negative is none.
	Grace time.Duration

	// DryRun finds out what would be removed and removes nothing. It takes no lease and
	// writes nothing at all.
	DryRun bool

	// Inventory is where garbage is looked for, so that many feeds need one listing of all that
	// there is. Default: one that is taken for this call.
	Inventory *Inventory
}

// Garbage is what [GC] has removed, or would.
type Garbage struct {
	Feed   string `json:"feed"`
	DryRun bool   `json:"dry_run,omitempty"`

	// Dropped are runs that have ceased to be live now, by Feed.KeepRuns and
	// Feed.KeepDays. Their files stay for the grace time.
	Dropped []string `json:"retired,omitempty"`

	// Runs are dropped runs of which nothing is left now but their reports.
	Runs []string `json:"runs,omitempty"`

	// Waiting are how many dropped runs there are whose files stay for the grace time still.
	Waiting int `json:"waiting_runs,omitempty"`

	Files []GarbageFile `json:"files"`
	Bytes int64         `json:"bytes"` // of Files, but for staged ones
}

// GarbageFile is a file that is live no more.
type GarbageFile struct {
	Key    string        `json:"key"`
	Bytes  int64         `json:"bytes"` // 0 for what is only staged
	Why    GarbageReason `json:"why"`
	Staged bool          `json:"staged,omitempty"`
}

// GarbageReason is why a file is live no more.
type GarbageReason string

// Why files are live no more.
const (
	OfDroppedRun GarbageReason = "retired"  // its run was live once
	OfNoRun      GarbageReason = "orphaned" // its run was never published, and its process was killed as it cleaned up
)

// GC removes the files of a feed that are live no more: those of dropped runs, and what
// killed processes have left of runs that were never published, parts, quarantine and
// staged bytes. It touches only what is named as this feed's files are, and the folders of
// runs that no feed knows. What runs have reported stays.
//
// First it takes runs out of the live ones that the feed needs not keep (Feed.KeepRuns,
// Feed.KeepDays). Of o.Feed, only Name and these two are used; a feed that has never run
// has no garbage.
//
// A [*ledger.HeldError] says that another process works at the feed. Killed at any
// instant, the next GC does the rest.
func GC(ctx context.Context, o Options, g GCOptions) (*Garbage, error) {
	o = o.withDefaults()
	if g.Grace = cmp.Or(g.Grace, 24*time.Hour); g.Grace < 0 {
		g.Grace = 0
	}
	found := &Garbage{Feed: o.Feed.Name, DryRun: g.DryRun, Files: []GarbageFile{}}
	s := &survey{Options: o, Inventory: g.Inventory, found: found}
	if g.DryRun {
		if err := s.take(ctx); err != nil { // before the feed is read: see Inventory
			return nil, err
		}
	}
	feed, err := ledger.Read(ctx, o.State, o.Feed.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	o.Feed.Source, o.Feed.Purpose = feed.Source, feed.Purpose
	if g.DryRun {
		now := o.Now().UTC()
		if found.Dropped, err = o.droppable(ctx, feed, now); err != nil {
			return found, err
		}
		feed.Drop(found.Dropped, now)
		return found, s.find(ctx, feed, now.Add(-g.Grace))
	}
	return found, withLease(ctx, o, func(lease *ledger.Lease) error {
		ctx := lease.Context()
		now := o.Now().UTC() // not from before the lease was had: whoever reads meanwhile sees what is dropped now
		if found.Dropped, err = o.droppable(ctx, lease.Feed(), now); err != nil {
			return err
		}
		if len(found.Dropped) > 0 {
			err := lease.Update(ctx, func(f *ledger.Feed) error {
				f.Drop(found.Dropped, now)
				return nil
			})
			if err != nil {
				return err
			}
		}
		// Before any file goes: readers of the manifests know of no other.
		if err := o.putSymlinkManifests(ctx, lease.Feed()); err != nil {
			return err
		}
		if err := s.take(ctx); err != nil {
			return err
		}
		if err := s.find(ctx, lease.Feed(), now.Add(-g.Grace)); err != nil {
			return err
		}
		return o.sweep(ctx, lease, found)
	})
}

// sweep removes what was found: first parts, then what tells of their runs, and then the last
// sign of dropped ones.
func (o Options) sweep(ctx context.Context, lease *ledger.Lease, found *Garbage) error {
	for _, ofParts := range []bool{true, false} {
		group, gctx := errgroup.WithContext(ctx)
		group.SetLimit(publishers)
		for _, f := range found.Files {
			if isPart := strings.HasPrefix(f.Key, columnar.LayoutPath+"/"); isPart != ofParts || gctx.Err() != nil {
				continue
			}
			store := o.storeOf(f.Key)
			group.Go(func() error {
				if f.Staged {
					return store.Discard(gctx, f.Key)
				}
				return store.Remove(gctx, f.Key)
			})
		}
		if err := errors.Join(group.Wait(), context.Cause(ctx)); err != nil {
			return err
		}
	}
	if len(found.Runs) == 0 {
		return nil
	}
	return lease.Update(ctx, func(f *ledger.Feed) error {
		f.Dropped = slices.DeleteFunc(f.Dropped, func(r ledger.DroppedRun) bool { return slices.Contains(found.Runs, r.Run) })
		return nil
	})
}
