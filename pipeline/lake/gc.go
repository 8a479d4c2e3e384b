package lake

import (
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

// Collector finds and removes the garbage of a feed: files that are live no more, those of
// dropped runs, and what killed processes have left of runs that were never published, parts,
// quarantine and staged bytes. It touches only what is named as this feed's files are, and
// the folders of runs that no feed knows. What runs have reported stays.
//
// First it drops runs that the feed needs not keep.
type Collector struct {
	Lake Lake
	Keep Retention

	// Grace is for how long a run's files stay when it is live no longer, and those of
	// runs that are no feed's: readers may still be reading them, and a process that was
	// paused may still write some. 0 is none.
	Grace time.Duration

	// Inventory is where garbage is looked for, so that many feeds need one listing of all that
	// there is. Nil: one is taken for each call.
	Inventory *Inventory

	// Now is the clock.
	Now func() time.Time
}

// Garbage is what a [Collector] has removed, or would.
type Garbage struct {
	Feed   string `json:"feed"`
	DryRun bool   `json:"dry_run,omitempty"`

	// Dropped are runs that have ceased to be live now, by [Retention]. Their files stay for
	// the grace time.
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
	OfNoRun      GarbageReason = "orphaned" // its run was never published, and its process was killed as it cleaned up; or it came after that
)

// Find finds out what of a feed Collect would remove, and writes nothing at all. A feed that
// has never run has no garbage.
func (c Collector) Find(ctx context.Context, feed string) (*Garbage, error) {
	there, err := c.inventory(ctx, feed) // before the feed is read: see Inventory
	if err != nil {
		return nil, err
	}
	found := &Garbage{Feed: feed, DryRun: true, Files: []GarbageFile{}}
	f, err := ledger.Read(ctx, c.Lake.State, feed)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	now := c.Now().UTC()
	if found.Dropped, err = c.Lake.Droppable(ctx, f, c.Keep, now); err != nil {
		return found, err
	}
	f.Drop(found.Dropped, now)
	return found, c.survey(ctx, there, f, now, found)
}

// Collect removes the garbage of the feed whose lease the process holds. ctx is the lease's.
// Killed at any instant, the next Collect does the rest.
func (c Collector) Collect(ctx context.Context, lease *ledger.Lease) (*Garbage, error) {
	feed := lease.Feed()
	found := &Garbage{Feed: feed.Name, Files: []GarbageFile{}}
	now := c.Now().UTC() // not from before the lease was had: whoever reads meanwhile sees what is dropped now
	var err error
	if found.Dropped, err = c.Lake.Droppable(ctx, feed, c.Keep, now); err != nil {
		return found, err
	}
	if len(found.Dropped) > 0 {
		err := lease.Update(ctx, func(f *ledger.Feed) error {
			f.Drop(found.Dropped, now)
			return nil
		})
		if err != nil {
			return found, err
		}
	}
	// Before any file goes: readers of the manifests know of no other.
	if err := c.Lake.PutManifests(ctx, lease); err != nil {
		return found, err
	}
	there, err := c.inventory(ctx, feed.Name)
	if err != nil {
		return found, err
	}
	if err := c.survey(ctx, there, lease.Feed(), now, found); err != nil {
		return found, err
	}
	return found, c.sweep(ctx, lease, found)
}

func (c Collector) inventory(ctx context.Context, feed string) (*Inventory, error) {
	if c.Inventory != nil {
		return c.Inventory, nil
	}
	return c.Lake.TakeInventory(ctx, feed)
}

func (c Collector) survey(ctx context.Context, there *Inventory, feed ledger.Feed, now time.Time, found *Garbage) error {
	s := &survey{there: there, lake: c.Lake, feed: feed, before: now.Add(-c.Grace), found: found}
	return s.find(ctx)
}

// sweep removes what was found: first parts, then what tells of their runs, and then the last
// sign of dropped ones.
func (c Collector) sweep(ctx context.Context, lease *ledger.Lease, found *Garbage) error {
	for _, ofParts := range []bool{true, false} {
		group, gctx := errgroup.WithContext(ctx)
		group.SetLimit(writers)
		for _, f := range found.Files {
			if isPart := strings.HasPrefix(f.Key, columnar.LayoutPath+"/"); isPart != ofParts || gctx.Err() != nil {
				continue
			}
			store := c.Lake.storeOf(f.Key)
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
