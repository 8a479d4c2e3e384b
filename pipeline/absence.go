package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// absence finds the resources that a full run lacks. It works on one type at a time and keeps
// a 64-bit hash of each resource's id. If two ids have the same hash, it may overlook an
// absent resource, but it never retires a present one.
type absence struct {
	*run
	out tombstones

	like   []lake.LiveRun // live runs whose exports are like this run's
	unlike []lake.LiveRun // all others, including those of other feeds in the same id space

	deleted map[string]map[uint64]int64 // by type and id hash: the newest tombstone's time
}

func (a *absence) retire(ctx context.Context) (*retirement, error) {
	if err := a.sortRuns(ctx); err != nil {
		return nil, err
	}
	if err := a.readTombstones(ctx); err != nil {
		return nil, err
	}
	types := map[string]bool{}
	for _, r := range a.like {
		for _, p := range r.List {
			if p.Type != columnar.Deleted && (len(a.journal.begun.Types) == 0 || slices.Contains(a.journal.begun.Types, p.Type)) {
				types[p.Type] = true
			}
		}
	}
	done := &retirement{Report: lake.RetireReport{Spared: a.spared()}}
	if done.Report.Spared > 0 {
		a.Log.Info("rows from runs of other exports are not retired", "runs", done.Report.Spared)
	}
	for _, t := range slices.Sorted(maps.Keys(types)) {
		gone, current, err := a.absent(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("finding the %s resources that are gone: %w", t, err)
		}
		if n := int64(len(gone)); short(current, n, current-n) { // the server may not have sent everything
			why := fmt.Sprintf("%d of %d %s resources would be retired, more than a tenth", len(gone), current, t)
			a.Log.Warn("nothing is retired", "why", why)
			return &retirement{Report: lake.RetireReport{Skipped: why, Refused: true, Spared: a.spared()}}, a.out.abort(ctx)
		}
		n, err := a.bury(ctx, t, gone)
		if err != nil {
			return nil, fmt.Errorf("retiring %s resources: %w", t, err)
		}
		done.Report.Resources += n
	}
	var err error
	done.Parts, err = a.out.finish(ctx)
	return done, err
}

// sortRuns reads which parts are live, and sorts their runs into like and unlike by their
// exports.
func (a *absence) sortRuns(ctx context.Context) error {
	filters := filtersOf(a.Feed)
	runs, err := a.lake().LiveRuns(ctx, a.lease.Feed().Runs)
	if err != nil {
		return err
	}
	for _, r := range runs {
		report, err := a.lake().Report(ctx, r.Run)
		if err != nil {
			return err
		}
		like := r.Kind != ledger.KindFiles && maps.Equal(report.Filters, filters)
		for _, x := range report.Exports {
			// All groups that a search ever found were the feed's.
			found := report.GroupSearch != "" && report.GroupSearch == a.journal.begun.GroupSearch
			like = like && (found || slices.Contains(a.groups(), x.Group))
		}
		if like {
			a.like = append(a.like, r)
		} else {
			a.unlike = append(a.unlike, r)
		}
	}
	return a.spareFeeds(ctx)
}

// spareFeeds adds what other feeds in the same id space still have to unlike, so that it is
// not retired.
func (a *absence) spareFeeds(ctx context.Context) error {
	names, err := ledger.List(ctx, a.State)
	if err != nil {
		return err
	}
	feeds, err := ledger.ReadAll(ctx, a.State, names)
	if err != nil {
		return err
	}
	for _, f := range feeds {
		if f.Name == a.Feed.Name || a.Feed.idSpace(f.Name, f.Source) != a.Feed.idSpace(a.Feed.Name, a.Feed.Source) {
			continue
		}
		runs, err := a.lake().CurrentRuns(ctx, f)
		if err != nil {
			return err
		}
		a.unlike = append(a.unlike, runs...)
	}
	return nil
}

// spared returns how many of the feed's own runs have nothing retired, because their exports
// differ from this run's.
func (a *absence) spared() int { return len(a.lease.Feed().Runs) - len(a.like) }

// absent returns the hashes of the ids of a type's resources that are current but not in this
// run, each with the time of its newest version, and how many resources are current.
func (a *absence) absent(ctx context.Context, resourceType string) (gone map[uint64]int64, current int64, err error) {
	rows := int64(0)
	for _, p := range a.journal.parts {
		if p.Type == resourceType {
			rows += p.Rows
		}
	}
	present := make([]uint64, 0, rows)
	err = a.eachKey(ctx, a.ownParts(), resourceType, func(id uint64, _ columnar.Key) { present = append(present, id) })
	if err != nil {
		return nil, 0, err
	}
	slices.Sort(present)
	present = slices.Compact(present)

	gone = map[uint64]int64{}
	known := make([]uint64, (len(present)+63)/64)
	for _, r := range a.like {
		err := a.eachKey(ctx, r.List, resourceType, func(id uint64, k columnar.Key) {
			if at, ok := slices.BinarySearch(present, id); ok {
				if bit := uint64(1) << (at % 64); known[at/64]&bit == 0 {
					known[at/64] |= bit
					current++
				}
				return
			}
			t := instantOf(k.TransactionTime)
			if before, ok := gone[id]; !ok || t > before {
				gone[id] = t
			}
		})
		if err != nil {
			return nil, 0, err
		}
	}
	// What other exports have brought is not for this one to judge.
	for _, r := range a.unlike {
		if err := a.eachKey(ctx, r.List, resourceType, func(id uint64, _ columnar.Key) { delete(gone, id) }); err != nil {
			return nil, 0, err
		}
	}
	for id, deleted := range a.deleted[resourceType] {
		if t, ok := gone[id]; ok && deleted >= t {
			delete(gone, id)
		}
	}
	now := instantOf(a.report.TransactionTime)
	maps.DeleteFunc(gone, func(_ uint64, t int64) bool { return t > now }) // newer than what this run knows
	return gone, current + int64(len(gone)), nil
}

// bury writes tombstones for the ids whose hashes are in gone, and empties gone. It returns
// how many it has written.
func (a *absence) bury(ctx context.Context, resourceType string, gone map[uint64]int64) (n int64, err error) {
	var failed error
	for _, r := range a.like {
		if len(gone) == 0 {
			break
		}
		err := a.eachKey(ctx, r.List, resourceType, func(id uint64, k columnar.Key) {
			if _, ok := gone[id]; !ok || failed != nil {
				return
			}
			delete(gone, id)
			var written bool
			if written, failed = a.out.add(ctx, resourceType, k.ID); written {
				n++
			}
		})
		if err := errors.Join(err, failed); err != nil {
			return n, err
		}
	}
	return n, nil
}

// readTombstones reads the tombstones of all types at once, since a night's part holds those
// of many.
func (a *absence) readTombstones(ctx context.Context) error {
	a.deleted = map[string]map[uint64]int64{}
	parts := [][]lake.Part{a.ownParts()}
	for _, r := range slices.Concat(a.like, a.unlike) {
		parts = append(parts, r.List)
	}
	for _, list := range parts {
		err := a.eachKey(ctx, list, columnar.Deleted, func(id uint64, k columnar.Key) {
			of := a.deleted[k.ResourceType]
			if of == nil {
				of = map[uint64]int64{}
				a.deleted[k.ResourceType] = of
			}
			t := instantOf(k.TransactionTime)
			if before, ok := of[id]; !ok || t > before {
				of[id] = t
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// idSpace returns the id space of a feed. Within one, the same type and id is the same resource.
func (f *Feed) idSpace(name, source string) string { return cmp.Or(f.IDSpaces[name], source) }
