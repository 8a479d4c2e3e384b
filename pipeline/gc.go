package pipeline

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"time"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// GCOptions says what [GC] removes.
type GCOptions struct {
	// Grace is how long files stay that are no longer live; see [lake.Collector]. Default 24
	// hours; negative means none.
	Grace time.Duration

	// DryRun finds out what would be removed, and removes nothing. It takes no lease and
	// writes nothing at all.
	DryRun bool

	// Inventory is where to look for garbage. Many feeds can share one, so that everything is
	// listed only once. Default: one taken for this call.
	Inventory *lake.Inventory
}

// GC drops the runs that Feed.Keep does not keep, and removes the feed's files that are no
// longer live, all under the feed's lease; see [lake.Collector]. Of o.Feed, only Name and Keep
// are used. A feed that has never run has no garbage.
//
// A [*ledger.HeldError] says that another process is working on the feed. If GC is killed at
// any instant, the next GC does the rest.
func GC(ctx context.Context, o Options, g GCOptions) (*lake.Garbage, error) {
	o = o.withDefaults()
	c := lake.Collector{Lake: o.lake(), Keep: o.Feed.Keep, Grace: max(cmp.Or(g.Grace, 24*time.Hour), 0), Inventory: g.Inventory, Now: o.Now}
	if g.DryRun {
		return c.Find(ctx, o.Feed.Name)
	}
	feed, err := ledger.Read(ctx, o.State, o.Feed.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return &lake.Garbage{Feed: o.Feed.Name, Files: []lake.GarbageFile{}}, nil
	}
	if err != nil {
		return nil, err
	}
	o.Feed.Source, o.Feed.Purpose = feed.Source, feed.Purpose
	var found *lake.Garbage
	err = withLease(ctx, o, func(lease *ledger.Lease) (err error) {
		found, err = c.Collect(lease.Context(), lease)
		return err
	})
	return found, err
}
