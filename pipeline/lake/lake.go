// Package lake reads, checks and cleans up what feeds have published in one place.
//
// The common path:
//
//	l := lake.Lake{Parts: dir, State: dir} // *sink.Dir or *sink.S3
//	feed, err := ledger.Read(ctx, l.State, "members")
//	for part, err := range l.Live(ctx, feed) {
//		f, err := l.OpenPart(ctx, part.Key)
//	}
//	found, err := l.Verify(ctx, nil)
//
// The feeds' objects name the runs that are live. Each run has a list of its parts and a report.
// Anything else is either work under way or garbage. Package pipeline publishes runs; how it
// makes their parts does not concern this package.
package lake

import (
	"context"
	"strings"
	"time"

	"fhirkiln/pipeline/ledger"
)

// Lake is a place where feeds publish. It holds only the two stores, which may be the same one.
//
// Live, LiveRuns, ReadLive, CurrentRuns, Droppable, OldestLive, PartsOf, Report and PutReport need
// only State, and OpenPart needs only Parts. All else needs both. A method panics if a store that
// it needs is nil.
type Lake struct {
	Parts Store // what analysts read: parts, and what says which of them are live
	State Store // feeds' objects, and a folder for each run
}

// Store is where files are; [*sink.Dir] and [*sink.S3] implement it. Each method itself retries
// what is worth retrying, and may be called from many goroutines.
type Store interface {
	ledger.Store

	// Staged calls each for everything that is staged under keys that start with prefix, in any
	// order, with the time it was last written to. An error from each ends it and is returned.
	Staged(ctx context.Context, prefix string, each func(key string, at time.Time) error) error

	// Discard throws away what any process has staged under a key, and removes what is published
	// there. Discarding again does nothing.
	Discard(ctx context.Context, key string) error

	// String returns s3://bucket/prefix, or the path of a folder. Stores with the same String are
	// taken for the same place, so a decorator returns that of what it decorates.
	String() string
}

// Apart reports whether the state is kept in another place than the parts. If it is, several
// states may have parts in one place. Places are told apart by their String, so that two handles
// of one place, or a decorated one, are the same.
func (l Lake) Apart() bool {
	return l.Parts == nil || l.State == nil || l.Parts.String() != l.State.String()
}

// storeOf returns the store that a file of a run lives in.
func (l Lake) storeOf(key string) Store {
	if InState(key) {
		return l.State
	}
	return l.Parts
}

// InState reports whether a file of a run belongs in the state, by its key. Whatever is not for
// analysts does.
func InState(key string) bool { return strings.HasPrefix(key, "_fhirkiln/") }
