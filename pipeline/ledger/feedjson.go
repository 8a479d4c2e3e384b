package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"
)

const (
	formatVersion = 1
	maxCount      = 1 << 53 // of generations and sequences; JSON readers keep numbers up to it exact
)

// DamagedError says that an object exists but cannot be used.
type DamagedError struct {
	Key  string
	Hint string // what the user may do; not part of the error's text
	Err  error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.Key, e.Err) }

func (e *DamagedError) Unwrap() error { return e.Err }

// VersionError says that an object was written by a newer fhirkiln, in a format of its own.
type VersionError struct {
	Key         string
	There, Know int // versions
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has version %d, but this fhirkiln knows only up to %d: a newer one wrote it, and must be used for this feed from now on",
		e.Key, e.There, e.Know)
}

// Read reads the object of a feed. If there is none, because the feed has never run, the error
// wraps [fs.ErrNotExist]; other errors are the store's, a [*DamagedError] or a [*VersionError].
// No lease is needed: the result was true at one moment.
func Read(ctx context.Context, s Store, feed string) (Feed, error) {
	if !IsName(feed) {
		return Feed{}, fmt.Errorf("%q is not a feed name", feed)
	}
	content, _, err := s.Load(ctx, FeedKey(feed))
	if err != nil {
		return Feed{}, err
	}
	return decode(feed, content)
}

// ReadAll reads the objects of several feeds, some at once, since each takes a request. The
// error is the first from [Read].
func ReadAll(ctx context.Context, s Store, feeds []string) ([]Feed, error) {
	all := make([]Feed, len(feeds))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, name := range feeds {
		group.Go(func() (err error) {
			all[i], err = Read(gctx, s, name)
			return err
		})
	}
	return all, group.Wait()
}

// List returns the names of all feeds that have an object, in order.
func List(ctx context.Context, s Store) ([]string, error) {
	var feeds []string
	err := s.List(ctx, feedsFolder, func(key string, _ int64) error {
		name, ok := strings.CutSuffix(strings.TrimPrefix(key, feedsFolder), feedsSuffix)
		if ok && IsName(name) {
			feeds = append(feeds, name)
		}
		return nil
	})
	return feeds, err
}

func decode(feed string, content []byte) (Feed, error) {
	f, err := parse(feed, content)
	if _, newer := errors.AsType[*VersionError](err); err != nil && !newer {
		err = &DamagedError{Key: FeedKey(feed), Err: err,
			Hint: "restore an earlier version of this object from the bucket's versions or a backup; " +
				"without one, move it away, and the next run exports the feed in full (published parts stay where they are)"}
	}
	return f, err
}

func parse(feed string, content []byte) (Feed, error) {
	// The version first: the rest of a newer object need not fit.
	var has struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(content, &has); err != nil {
		return Feed{}, err
	}
	if has.Version > formatVersion {
		return Feed{}, &VersionError{Key: FeedKey(feed), There: has.Version, Know: formatVersion}
	}
	var f Feed
	if err := json.Unmarshal(content, &f); err != nil {
		return Feed{}, err
	}
	if err := f.check(feed); err != nil {
		return Feed{}, err
	}
	return f, nil
}

// check rejects what no fhirkiln writes, and names that would lead out of their folders.
func (f *Feed) check(feed string) error {
	switch {
	case f.Version < 1:
		return errors.New("it has no version")
	case f.Name != feed:
		return fmt.Errorf("it belongs to feed %q", f.Name)
	case f.Source != "" && !IsName(f.Source):
		return fmt.Errorf("source: %q is not a name", f.Source)
	case f.Generation < 0 || f.Generation > maxCount:
		return fmt.Errorf("generation: %d is out of range", f.Generation)
	case f.Sequence < 0 || f.Sequence > maxCount:
		return fmt.Errorf("sequence: %d is out of range", f.Sequence)
	case f.Lease != nil && f.Lease.TTL <= 0:
		return errors.New("lease: it has no ttl")
	case f.Unfinished != nil && !IsName(f.Unfinished.Run):
		return fmt.Errorf("unfinished: %q is not a run name", f.Unfinished.Run)
	}
	for _, run := range f.named() {
		if !IsName(run) {
			return fmt.Errorf("%q is not a run name", run)
		}
	}
	return nil
}

// named returns the runs whose files may be read or removed because the feed names them.
func (f *Feed) named() []string {
	runs := append([]string(nil), f.Ended...)
	for _, r := range f.Runs {
		runs = append(append(runs, r.Run), r.Replaces...)
	}
	for _, r := range f.Dropped {
		runs = append(runs, r.Run)
	}
	if f.LastSuccess != nil {
		runs = append(runs, f.LastSuccess.Run)
	}
	return runs
}

func (f *Feed) encode() ([]byte, error) {
	content, err := json.Marshal(f, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("writing feed %s: %w", f.Name, err)
	}
	return append(content, '\n'), nil
}

// clone returns a deep copy of a feed that was parsed or made here.
func (f *Feed) clone() Feed {
	content, err := f.encode()
	if err == nil {
		var c Feed
		if err = json.Unmarshal(content, &c); err == nil {
			return c
		}
	}
	panic(err) // what was parsed can be written and parsed again
}
