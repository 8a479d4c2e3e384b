package lake

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"fhirkiln/pipeline/ledger"
)

// ReadLive reads the feeds with the given names and returns the live parts of the runs that
// keep reports true for, or of all runs if keep is nil. Each feed is a consistent snapshot.
//
// If gc removes a run in the meantime, ReadLive reads the feeds again, up to three times in
// all. Errors are those of [ledger.ReadAll] and [Lake.Live].
func (l Lake) ReadLive(ctx context.Context, feeds []string, keep func(ledger.Feed, ledger.PublishedRun) bool) ([]LivePart, error) {
	for tries := 1; ; tries++ {
		parts, err := l.readLive(ctx, feeds, keep)
		if err == nil || tries == 3 || !errors.Is(err, fs.ErrNotExist) {
			return parts, err
		}
	}
}

func (l Lake) readLive(ctx context.Context, names []string, keep func(ledger.Feed, ledger.PublishedRun) bool) ([]LivePart, error) {
	feeds, err := ledger.ReadAll(ctx, l.State, names)
	if err != nil {
		return nil, err
	}
	var parts []LivePart
	for _, f := range feeds {
		if keep != nil {
			f.Runs = slices.DeleteFunc(f.Runs, func(r ledger.PublishedRun) bool { return !keep(f, r) })
		}
		for p, err := range l.Live(ctx, f) {
			if err != nil {
				return nil, err
			}
			parts = append(parts, p)
		}
	}
	return parts, nil
}
