package lake

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sync/errgroup"

	"fhirkiln/pipeline/ledger"
)

// LivePart is a part that readers of a feed should see.
type LivePart struct {
	Feed   string `json:"feed"`
	Source string `json:"source"`
	Run    string `json:"run"`
	Part
}

// Live returns the parts of a feed's live runs, oldest run first, as the feed was when it was
// read ([ledger.Read]): all of a run or none of it, whatever is published in the meantime. To
// get only some of the runs, leave the others out of f.Runs.
//
// Only the runs' lists are read. If one is gone, gc has removed the run since: the error wraps
// [fs.ErrNotExist], and the feed must be read again. An error ends the sequence.
func (l Lake) Live(ctx context.Context, f ledger.Feed) iter.Seq2[LivePart, error] {
	return func(yield func(LivePart, error) bool) {
		for some := range slices.Chunk(f.Runs, 8*readers) {
			runs, err := l.LiveRuns(ctx, some)
			if err != nil {
				yield(LivePart{}, err)
				return
			}
			for _, r := range runs {
				for _, p := range r.List {
					if !yield(LivePart{Feed: f.Name, Source: f.Source, Run: r.Run, Part: p}, nil) {
						return
					}
				}
			}
		}
	}
}

// LiveRun is a live run with its parts.
type LiveRun struct {
	ledger.PublishedRun
	List []Part
}

// readers is how many small files of the state are read at once. A feed has as many runs as
// nights, and each costs a request.
const readers = 16

// LiveRuns reads the parts of runs, in the order of the runs. Errors are those of
// [Lake.PartsOf].
func (l Lake) LiveRuns(ctx context.Context, runs []ledger.PublishedRun) ([]LiveRun, error) {
	all := make([]LiveRun, len(runs))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, run := range runs {
		group.Go(func() error {
			parts, err := l.PartsOf(gctx, run.Run)
			all[i] = LiveRun{run, parts}
			return err
		})
	}
	return all, group.Wait()
}

// partList is parts.json.
type partList struct {
	Run   string `json:"run"`
	Parts []Part `json:"parts"`
}

// PartsOf reads the list of a published run's parts. The error wraps [fs.ErrNotExist] if there
// is no such list, or is a [*ledger.DamagedError], or the store's.
func (l Lake) PartsOf(ctx context.Context, run string) ([]Part, error) {
	key := PartsKey(run)
	content, _, err := l.State.Load(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading the parts of run %s: %w", run, err)
	}
	var list partList
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, &ledger.DamagedError{Key: key, Err: err, Hint: "restore it from a backup, or from the run's report.json, which lists the same parts"}
	}
	return list.Parts, nil
}
