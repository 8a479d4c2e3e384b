package lake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/ledger"
)

// Inventory is what there is where parts and the state are, and what feeds say of it. A
// [Collector] finds garbage in it, and takes that out of it. It is good for many feeds, one
// after the other: what comes to be after it was taken is not in it, and so is not removed.
//
// What there is is listed before the feeds are read: a run is named by its feed's object
// before it has any file, so that what is listed and is named by none then is of a run that
// will never be live.
type Inventory struct {
	parts   map[string][]GarbageFile // by feed
	staged  map[string]time.Time     // of all feeds
	folders map[string][]GarbageFile // by run
	feeds   []ledger.Feed

	published map[string]bool   // runs that were live, or had been, before anything was listed: all their parts are here
	tidy      map[string]bool   // runs that were live before anything was listed, with nothing left to tidy up: what is listed in their ledgers came late
	feedOf    map[string]string // by run, of those that have a part or something staged for one
	apart     bool              // the state is in another place than the parts
}

// TakeInventory lists both stores, and reads all feeds. It is good for the feeds of these
// names, and needs some hundred bytes of memory for each of their parts, and for each file of
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
	// mine says whether a key is of a feed that is asked for.
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
		return nil, fmt.Errorf("finding out which runs are in use: %w", err)
	}
	return feeds, nil
}

// forget takes out what belongs to no feed in particular, so that it is found once.
func (i *Inventory) forget(files []GarbageFile) {
	for _, f := range files {
		if f.Staged {
			delete(i.staged, f.Key)
		} else if run, _ := folderOf(f.Key); i.folders[run] != nil {
			i.folders[run] = slices.DeleteFunc(i.folders[run], func(there GarbageFile) bool { return there.Key == f.Key })
		}
	}
}
