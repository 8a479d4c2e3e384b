package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// RetireReport is what came of Feed.Retire.
type RetireReport struct {
	// Resources are how many count as deleted now: they were current, and the full run had
	// them no more.
	Resources int64 `json:"resources"`

	// Skipped is why nothing was retired, though it was asked for. Refused says that too
	// much would have been, so that the run is partial.
	Skipped string `json:"skipped,omitempty"`
	Refused bool   `json:"refused,omitempty"`
}

// retirement is the ledger's entry of it.
type retirement struct {
	Parts  []stagedPart `json:"parts,omitempty"`
	Report RetireReport `json:"report"`
}

// retiredFile stands in __origin.file of tombstones that no server sent.
const retiredFile = "retired"

// mostRetired is the part of a type's current resources that may be retired at once, as
// its inverse: more is rather a server that has not sent all.
const mostRetired = 10

// retireAbsent makes tombstones for resources that are current and that this full run
// lacks, if the feed wants it; its parts are published, and not live yet. Only what came
// of exports as this one's are is looked at: the same filters, types and groups.
func (r *run) retireAbsent(ctx context.Context) error {
	if !r.Feed.Retire || r.report.Kind != ledger.KindFull {
		return nil
	}
	if done := r.journal.retired; done != nil { // before the run was cut off
		r.report.Retired = &done.Report
		return nil
	}
	if why := r.cannotRetire(); why != "" {
		r.report.Retired = &RetireReport{Skipped: why}
		r.Log.Warn("nothing is retired", "why", why)
		return nil
	}
	a := &absence{run: r, out: tombstones{run: r}}
	done, err := a.retire(ctx)
	if err == nil {
		err = r.journal.add(ctx, entry{Retired: done})
	}
	if err != nil {
		return errors.Join(err, a.out.abort(context.WithoutCancel(ctx)))
	}
	for _, p := range done.Parts {
		if err := r.Sink.Publish(ctx, p.Receipt); err != nil {
			return err
		}
		r.report.addPart(p)
	}
	r.report.Retired = &done.Report
	r.Log.Info("retired what the full run lacks", "resources", done.Report.Resources)
	return nil
}

// cannotRetire is why this run cannot tell what is gone, "" if it can.
func (r *run) cannotRetire() string {
	switch q := r.Feed.Request; {
	case r.report.errorIssues() > 0:
		return "the server reported errors"
	case r.report.Quarantined > 0:
		return "lines are in quarantine"
	case instantOf(r.report.TransactionTime) == never:
		return "the server gave no readable transactionTime"
	case !q.Since.IsZero() || !q.Until.IsZero():
		return "the feed has since or until, so that its full runs do not hold everything"
	}
	return ""
}

// absence finds what a full run lacks. It keeps 64 bits of a hash for each resource of
// one type: two of one hash make it overlook an absent one, never retire a present one.
type absence struct {
	*run
	out tombstones

	like   []compactable // live runs of exports such as this one's
	unlike []compactable // and others
}

func (a *absence) retire(ctx context.Context) (*retirement, error) {
	if err := a.sortRuns(ctx); err != nil {
		return nil, err
	}
	types := map[string]bool{}
	for _, r := range a.like {
		for _, p := range r.parts {
			if p.Type != columnar.Deleted && (len(a.journal.begun.Types) == 0 || slices.Contains(a.journal.begun.Types, p.Type)) {
				types[p.Type] = true
			}
		}
	}
	done := &retirement{}
	for _, t := range slices.Sorted(maps.Keys(types)) {
		gone, current, err := a.absent(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("finding out which resources of %s are gone: %w", t, err)
		}
		if int64(len(gone))*mostRetired > current {
			why := fmt.Sprintf("%d of %d resources of %s would be, more than a tenth", len(gone), current, t)
			a.Log.Warn("nothing is retired", "why", why)
			return &retirement{Report: RetireReport{Skipped: why, Refused: true}}, a.out.abort(ctx)
		}
		n, err := a.bury(ctx, t, gone)
		if err != nil {
			return nil, fmt.Errorf("retiring resources of %s: %w", t, err)
		}
		done.Report.Resources += n
	}
	var err error
	done.Parts, err = a.out.finish(ctx)
	return done, err
}

// sortRuns reads which parts are live, and of what exports.
func (a *absence) sortRuns(ctx context.Context) error {
	filters := filtersOf(a.Feed)
	for _, r := range a.lease.Feed().Runs {
		parts, err := readParts(ctx, a.State, r.Run)
		if err != nil {
			return err
		}
		report, err := readReport(ctx, a.State, r.Run)
		if err != nil {
			return err
		}
		like := r.Kind != ledger.KindFiles && maps.Equal(report.Filters, filters)
		for _, x := range report.Exports {
			like = like && slices.Contains(a.groups(), x.Group)
		}
		if like {
			a.like = append(a.like, compactable{r, parts})
		} else {
			a.unlike = append(a.unlike, compactable{r, parts})
		}
	}
	return nil
}

// absent are the hashes of the ids of a type's resources that are current and not in this
// run; and how many are current.
func (a *absence) absent(ctx context.Context, resourceType string) (gone map[uint64]int64, current int64, err error) {
	var own []PartReport
	rows := int64(0)
	for _, p := range a.journal.parts {
		own = append(own, PartReport{Type: p.Type, Key: p.Receipt.Key})
		if p.Type == resourceType {
			rows += p.Rows
		}
	}
	present := make([]uint64, 0, rows)
	err = a.eachKey(ctx, own, resourceType, func(id uint64, _ columnar.Key) { present = append(present, id) })
	if err != nil {
		return nil, 0, err
	}
	slices.Sort(present)
	present = slices.Compact(present)

	gone = map[uint64]int64{} // to the newest version's time
	known := make([]uint64, (len(present)+63)/64)
	for _, r := range a.like {
		err := a.eachKey(ctx, r.parts, resourceType, func(id uint64, k columnar.Key) {
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
	// What other exports have brought is not this one's to judge.
	for _, r := range a.unlike {
		if err := a.eachKey(ctx, r.parts, resourceType, func(id uint64, _ columnar.Key) { delete(gone, id) }); err != nil {
			return nil, 0, err
		}
	}
	// Those that were deleted already.
	deletions := [][]PartReport{own}
	for _, r := range slices.Concat(a.like, a.unlike) {
		deletions = append(deletions, r.parts)
	}
	for _, parts := range deletions {
		err := a.eachTombstone(ctx, parts, resourceType, func(id uint64, k columnar.Key) {
			if t, ok := gone[id]; ok && instantOf(k.TransactionTime) >= t {
				delete(gone, id)
			}
		})
		if err != nil {
			return nil, 0, err
		}
	}
	now := instantOf(a.report.TransactionTime)
	maps.DeleteFunc(gone, func(_ uint64, t int64) bool { return t > now }) // newer than what this run knows
	return gone, current + int64(len(gone)), nil
}

// bury writes tombstones for the ids whose hashes are in gone, and empties it.
func (a *absence) bury(ctx context.Context, resourceType string, gone map[uint64]int64) (n int64, err error) {
	var failed error
	for _, r := range a.like {
		if len(gone) == 0 {
			break
		}
		err := a.eachKey(ctx, r.parts, resourceType, func(id uint64, k columnar.Key) {
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

func (a *absence) eachKey(ctx context.Context, parts []PartReport, resourceType string, each func(id uint64, k columnar.Key)) error {
	return a.keys(ctx, parts, resourceType, resourceType, each)
}

func (a *absence) eachTombstone(ctx context.Context, parts []PartReport, resourceType string, each func(id uint64, k columnar.Key)) error {
	return a.keys(ctx, parts, columnar.Deleted, resourceType, each)
}

// keys calls each for the rows of one type in the parts of a type.
func (a *absence) keys(ctx context.Context, parts []PartReport, partType, resourceType string, each func(id uint64, k columnar.Key)) error {
	for _, p := range parts {
		if p.Type != partType {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		f, err := a.Sink.Open(ctx, p.Key)
		if err != nil {
			return err
		}
		err = eachKeyOf(f, func(k columnar.Key) {
			if k.ResourceType == resourceType && k.ID != "" {
				each(hashOf(k.ID), k)
			}
		})
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("reading %s: %w", p.Key, err)
		}
	}
	return nil
}

func eachKeyOf(f sink.Reader, each func(columnar.Key)) error {
	r, err := columnar.NewReader(f, f.Size())
	if err != nil {
		return err
	}
	defer r.Close()
	for k, err := range r.Keys() {
		if err != nil {
			return err
		}
		each(k)
	}
	return nil
}
