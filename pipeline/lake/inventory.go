package lake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/ledger"
)

// Inventory is everything that is stored where parts and the state are, and what feeds say about
// it. A [Collector] finds garbage in it, and takes that garbage out of it. It is good for many
// feeds, one after the other: what appears after it was taken is not in it, and so is not
// removed.
//
// Files are listed before the feeds are read. A feed's object names a run before the run has any
// file, so if no feed names the run of a listed file, that run will never be live.
type Inventory struct {
	parts   map[string][]GarbageFile // by feed
	staged  map[string]time.Time     // by key: when it was last written to
	folders map[string][]GarbageFile // by run
	feeds   []ledger.Feed

	published map[string]bool   // runs that were live, or had been, before the listing: all their parts are here
	tidy      map[string]bool   // runs that were live and tidied up before the listing: what is listed in their ledgers came late
	feedOf    map[string]string // by run, for runs that have a part, published or staged
	apart     bool              // the state is kept in another place than the parts
}

// TakeInventory lists both stores, and reads all feeds. The inventory is good for the named
// feeds. It needs a few hundred bytes of memory for each of their parts, and for each file of
// all runs in the state.
func (l Lake) TakeInventory(ctx context.Context, names ...string) (*Inventory, error) {
	i := &Inventory{parts: map[string][]GarbageFile{}, staged: map[string]time.Time{}, folders: map[string][]GarbageFile{},
		published: map[string]bool{}, tidy: map[string]bool{}, feedOf: map[string]string{}, apart: l.Apart()}
	before, err := l.allFeeds(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range before {
		for _, r := range f.Runs {
			i.published[r.Run] = true
			i.tidy[r.Run] = !slices.Contains(f.Ended, r.Run)
		}
		for _, r := range f.Dropped {
			i.published[r.Run] = true
		}
	}
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	// mine reports whether a key belongs to a feed that is asked for.
	mine := func(key string) (feed string, ok bool) {
		k, isPart := parsePartKey(key)
		if isPart {
			i.feedOf[k.Run] = k.Feed
		}
		return k.Feed, isPart && wanted[k.Feed]
	}
	err = l.Parts.List(ctx, columnar.LayoutPath+"/", func(key string, size int64) error {
		if feed, ok := mine(key); ok {
			i.parts[feed] = append(i.parts[feed], GarbageFile{Key: key, Bytes: size})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = l.Parts.Staged(ctx, columnar.LayoutPath+"/", func(key string, at time.Time) error {
		if _, ok := mine(key); ok {
			i.staged[key] = at
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = l.State.List(ctx, ledger.RunsFolder, func(key string, size int64) error {
		if run, _ := folderOf(key); run != "" {
			i.folders[run] = append(i.folders[run], GarbageFile{Key: key, Bytes: size})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = l.State.Staged(ctx, ledger.RunsFolder, func(key string, at time.Time) error {
		if run, _ := folderOf(key); run != "" {
			i.staged[key] = at
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	i.feeds, err = l.allFeeds(ctx)
	return i, err
}

func (l Lake) allFeeds(ctx context.Context) ([]ledger.Feed, error) {
	names, err := ledger.List(ctx, l.State)
	if err != nil {
		return nil, err
	}
	feeds, err := ledger.ReadAll(ctx, l.State, names)
	if err != nil {
		return nil, fmt.Errorf("finding the runs in use: %w", err)
	}
	return feeds, nil
}

// forget takes out files that belong to no feed in particular, so that they are found only once.
func (i *Inventory) forget(files []GarbageFile) {
	for _, f := range files {
		if f.Staged {
			delete(i.staged, f.Key)
		} else if run, _ := folderOf(f.Key); i.folders[run] != nil {
			i.folders[run] = slices.DeleteFunc(i.folders[run], func(there GarbageFile) bool { return there.Key == f.Key })
		}
	}
}
