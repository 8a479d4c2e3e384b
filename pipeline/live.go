package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sync/errgroup"

	"fhirkiln/pipeline/ledger"
)

// LivePart is a part that readers of a feed are to see.
type LivePart struct {
	Feed   string `json:"feed"`
	Source string `json:"source"`
	Run    string `json:"run"`
	PartReport
}

// Live are the parts of a feed's live runs, oldest run first, as the feed was when it was
// read ([ledger.Read]): all of a run or none of it, whatever is published meanwhile. For
// some of the runs, leave the others out of f.Runs.
//
// Nothing but the runs' lists is read. If one is gone, gc has removed the run since; the
// error wraps [fs.ErrNotExist], and the feed is to be read again. An error ends it.
func Live(ctx context.Context, s ledger.Store, f ledger.Feed) iter.Seq2[LivePart, error] {
	return func(yield func(LivePart, error) bool) {
		for runs := range slices.Chunk(f.Runs, 8*readers) {
			lists, err := readAllParts(ctx, s, runs)
			if err != nil {
				yield(LivePart{}, err)
				return
			}
			for i, run := range runs {
				for _, p := range lists[i] {
					if !yield(LivePart{Feed: f.Name, Source: f.Source, Run: run.Run, PartReport: p}, nil) {
						return
					}
				}
			}
		}
	}
}

// readers is how many small files of the state are read at once: a feed has as many runs as
// nights, and each costs a request.
const readers = 16

// readAllParts reads the parts.json of published runs.
func readAllParts(ctx context.Context, s ledger.Store, runs []ledger.PublishedRun) ([][]PartReport, error) {
	lists := make([][]PartReport, len(runs))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, run := range runs {
		group.Go(func() (err error) {
			lists[i], err = readParts(gctx, s, run.Run)
			return err
		})
	}
	return lists, group.Wait()
}

// readParts reads the parts.json of a published run.
func readParts(ctx context.Context, s ledger.Store, run string) ([]PartReport, error) {
	key := ledger.PartsKey(run)
	content, _, err := s.Load(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading the parts of run %s: %w", run, err)
	}
	var list partList
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, &ledger.DamagedError{Key: key, Err: err, Hint: "restore it from a backup, or from the run's report.json, which has the same parts"}
	}
	return list.Parts, nil
}
