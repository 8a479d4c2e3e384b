// Package ledger records what a feed and its runs have durably done, so that any process can go
// on where another was killed, and no two processes work on the same feed.
//
// The common path:
//
//	lease, err := ledger.Acquire(ctx, store, ledger.Options{Feed: "members", Source: "bison", Purpose: "payer_to_payer"})
//	defer lease.Release(context.WithoutCancel(ctx))
//	ctx = lease.Context() // ends when the lease is lost
//	err = lease.Update(ctx, func(f *ledger.Feed) error { f.Unfinished = …; return nil })
//	run, err := lease.OpenRun(ctx, id)
//	for entry, err := range run.Entries(ctx) { … }
//	err = run.Append(ctx, entry) // durable when it returns
//	err = lease.Update(ctx, func(f *ledger.Feed) error { … }) // publishes: run added, watermarks moved
//	err = run.Forget(ctx)
//
// A feed is one object, _fhirkiln/feeds/<feed>.json, which is changed only by compare-and-swap.
// Whoever takes its lease raises the generation in it, so that every later write of an older
// holder fails, however long that holder slept. A run's ledger is a folder of entries that are
// never changed, each under its writer's generation. A generation begins with an opening that
// names the entries of older generations that it has seen. What an old holder adds after that
// counts for nobody.
package ledger

import (
	"context"
	"errors"
	"regexp"

	"fhirkiln/sink"
)

// Store is where feeds and ledgers are kept: the part of a sink that they need, or a separate
// sink (state:). Each method itself retries what is worth retrying, and may be called from many
// goroutines. What a call has written is seen by every call that begins after it, in any
// process.
//
// If a Store is also a [Locker], its locks are used.
type Store interface {
	// Put writes an object whole and durably, replacing one that is there. The ledger puts each
	// key once, except to repeat a failed call with the same content.
	Put(ctx context.Context, key string, content []byte) error

	// Open opens an object for reading. The error wraps [fs.ErrNotExist] if there is none.
	Open(ctx context.Context, key string) (sink.Reader, error)

	// List calls each for every key that starts with prefix, in the byte order of keys. It leaves
	// out what is only staged. An error from each ends it and is returned.
	List(ctx context.Context, prefix string, each func(key string, size int64) error) error

	// Remove removes objects durably, one after the other, so that a process that dies in
	// between has removed the first ones. An object that is not there is no error.
	Remove(ctx context.Context, keys ...string) error

	// Load reads an object whole, with its version. The error wraps [fs.ErrNotExist] if there is
	// none.
	Load(ctx context.Context, key string) ([]byte, sink.Version, error)

	// Swap replaces an object's content if its version is still old, and returns the new
	// version; "" is the version of an object that is not there. If the version is another, the
	// error wraps [sink.ErrChanged], and nothing was written. After any other error, either
	// content may be there, and the new one may still come, but only as long as the object is at
	// old.
	Swap(ctx context.Context, key string, content []byte, old sink.Version) (sink.Version, error)
}

// Locker is a [Store] that knows at once whether another process is alive. A store that decorates
// one should forward Lock. Without it, leases still hold, but go by renewal alone: a process that
// finds the lease of a dead one waits for its TTL.
type Locker interface {
	// Lock takes the lock of a key, without waiting. The error wraps [sink.ErrLocked] if another
	// process or goroutine has it. A process that dies lets go of it.
	Lock(ctx context.Context, key string) (unlock func(), err error)
}

// ErrLost says that a lease is no longer this process's: another has taken it over, or it could
// not be renewed in time. The error that wraps it says who has the lease now.
var ErrLost = errors.New("the lease is lost")

// ErrNotRenewed comes with [ErrLost] if the lease was not renewed for so long that another
// process may take it. Whether one has is not known.
var ErrNotRenewed = errors.New("it could not be renewed")

const (
	root        = "_fhirkiln/"
	feedsFolder = root + "feeds/"
	feedsSuffix = ".json"
)

// Folder returns the folder of a run's own files, "_fhirkiln/runs/<run>/": its ledger,
// parts.json, report and the like.
func Folder(run string) string { return RunsFolder + run + "/" }

// RunsFolder holds the folders of all runs.
const RunsFolder = root + "runs/"

// FeedKey returns the key of a feed's object.
func FeedKey(feed string) string { return feedsFolder + feed + feedsSuffix }

func lockKey(feed string) string { return feedsFolder + feed + ".lock" }

var names = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// IsName reports whether s is a valid name for a feed, source or run: [a-z][a-z0-9-]*, at most
// 200 bytes, since names become folders.
func IsName(s string) bool { return len(s) <= 200 && names.MatchString(s) }
