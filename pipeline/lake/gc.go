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

// Collector finds and removes the garbage of a feed: files that are no longer live. These are
// the files of dropped runs, and what killed processes have left of runs that were never
// published: parts, quarantine and staged bytes. It touches only files that are named as this
// feed's are, and the folders of runs that no feed knows. The reports of runs stay.
//
// Before that, it drops runs that the feed need not keep.
type Collector struct {
	Lake Lake
	Keep Retention

	// Grace is how long the files of a run stay once it is no longer live, and how long the
	// files of runs that belong to no feed stay: readers may still be reading them, and a
	// process that was paused may still write some. 0 means no grace.
	Grace time.Duration

	// Inventory is where to look for garbage, so that many feeds need only one listing of
	// everything. Nil: each call takes one.
	Inventory *Inventory

	// Now is the clock.
	Now func() time.Time
}

// Garbage is what a [Collector] has removed, or would remove.
type Garbage struct {
	Feed   string `json:"feed"`
	DryRun bool   `json:"dry_run,omitempty"`

	// Dropped are the runs that [Retention] has just taken out of the live ones. Their files
	// stay for the grace time.
	Dropped []string `json:"retired,omitempty"`

	// Runs are dropped runs of which only the reports are left now.
	Runs []string `json:"runs,omitempty"`

	// Waiting is how many dropped runs still have their files, for the grace time.
	Waiting int `json:"waiting_runs,omitempty"`

	Files []GarbageFile `json:"files"`
	Bytes int64         `json:"bytes"` // of Files, without staged ones
}

// GarbageFile is a file that is no longer live.
type GarbageFile struct {
	Key    string        `json:"key"`
	Bytes  int64         `json:"bytes"` // 0 if it is only staged
	Why    GarbageReason `json:"why"`
	Staged bool          `json:"staged,omitempty"`
}

// GarbageReason is why a file is no longer live.
type GarbageReason string

// Why files are no longer live.
const (
	OfDroppedRun GarbageReason = "retired"  // its run was live once
	OfNoRun      GarbageReason = "orphaned" // its run was never published: its process was killed while cleaning up, or the file came after that
)

// Find reports what Collect would remove of a feed, and writes nothing at all. A feed that has
// never run has no garbage.
func (c Collector) Find(ctx context.Context, feed string) (*Garbage, error) {
	inventory, err := c.inventory(ctx, feed) // before the feed is read: see Inventory
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
	return found, c.survey(ctx, inventory, f, now, found)
}

// Collect removes the garbage of the feed whose lease the process holds. ctx is the lease's. If
// the process is killed at any point, the next Collect does the rest.
func (c Collector) Collect(ctx context.Context, lease *ledger.Lease) (*Garbage, error) {
	feed := lease.Feed()
	found := &Garbage{Feed: feed.Name, Files: []GarbageFile{}}
	now := c.Now().UTC() // not read before the lease was taken: until then, readers saw what is dropped now
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
	// Before any file goes: readers of the manifests learn what is live from nothing else.
	if err := c.Lake.PutManifests(ctx, lease); err != nil {
		return found, err
	}
	inventory, err := c.inventory(ctx, feed.Name)
	if err != nil {
		return found, err
	}
	if err := c.survey(ctx, inventory, lease.Feed(), now, found); err != nil {
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

func (c Collector) survey(ctx context.Context, inventory *Inventory, feed ledger.Feed, now time.Time, found *Garbage) error {
	s := &survey{inventory: inventory, lake: c.Lake, feed: feed, before: now.Add(-c.Grace), found: found}
	return s.find(ctx)
}

// sweep removes what was found: first parts, then what tells of their runs, and finally the last
// trace of dropped runs.
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
