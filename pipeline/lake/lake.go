// Package lake is what feeds have published in one place, and how it is read, checked and
// cleaned up.
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
// What is live is what the feeds' objects name: runs, each of which has a list of its parts
// and a report. Whatever else lies there is under way, or garbage. Package pipeline publishes
// runs; how it comes to their parts is nothing to this package.
package lake

import (
	"context"
	"strings"
	"time"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// Lake is a place where feeds publish. It holds nothing but the two stores, which may be the
// same one; some methods need only one of them.
type Lake struct {
	Parts Store // what analysts read: parts, and what says which of them are live
	State State // feeds' objects, and a folder for each run
}

// Store is where files are; [*sink.Dir] and [*sink.S3] implement it. Each method retries
// inside what is worth retrying, and is called from many goroutines.
type Store interface {
	// List calls each for every file whose key starts with prefix, in the byte order of keys,
	// but for what is only staged. An error of each ends it and is returned.
	List(ctx context.Context, prefix string, each func(key string, size int64) error) error

	// Open reads a file; [fs.ErrNotExist] if it is not there.
	Open(ctx context.Context, key string) (sink.Reader, error)

	// Put writes a file whole and durably, in place of one that is there.
	Put(ctx context.Context, key string, content []byte) error

	// Load reads a small file whole, with its version; [fs.ErrNotExist] if it is not there.
	Load(ctx context.Context, key string) ([]byte, sink.Version, error)

	// Swap replaces a file's content if it is still at the version old, "" being that of a file
	// that is not there; else the error wraps [sink.ErrChanged]. See [ledger.Store].
	Swap(ctx context.Context, key string, content []byte, old sink.Version) (sink.Version, error)

	// Remove removes files durably, one after the other. One that is not there is none to
	// remove.
	Remove(ctx context.Context, keys ...string) error

	// Staged calls each for what is staged under keys that start with prefix, in any order,
	// with when it was last written to. An error of each ends it and is returned.
	Staged(ctx context.Context, prefix string, each func(key string, at time.Time) error) error

	// Discard throws away what any process has staged under a key, and removes what is
	// published there. Discarding it again does nothing.
	Discard(ctx context.Context, key string) error

	// String is s3://bucket/prefix, or the path of a folder.
	String() string
}

// State is a [Store] that feeds' objects are kept in.
type State interface {
	Store
	ledger.Store
}

// Apart says whether the state is in another place than the parts. Then several states may
// have parts in one place.
func (l Lake) Apart() bool { return any(l.State) != any(l.Parts) }

// storeOf is where a file of a run lives.
func (l Lake) storeOf(key string) Store {
	if InState(key) {
		return l.State
	}
	return l.Parts
}

// InState says whether a file of a run belongs into the state, by its key: what is not for
// analysts does.
func InState(key string) bool { return strings.HasPrefix(key, "_fhirkiln/") }
