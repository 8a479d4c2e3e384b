package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/pipeline/views"
	"fhirkiln/sink"
)

// PutManifests brings the symlink manifests of a feed, from which Athena, Trino and Presto know
// what is live, in line with the feed's object. Manifests that are right already are not written
// again. It is called under the feed's lease, after each change of what is live.
//
// A process that was stopped in between, and has lost its lease, only knows what was live once:
// it does not overwrite a manifest that another process has written since it was read. The error
// is then [ledger.ErrLost]. The same content may come again, as that of no parts does: then it
// is wanted again, too.
func (l Lake) PutManifests(ctx context.Context, lease *ledger.Lease) error {
	named, err := l.named(ctx, lease.Feed())
	if err != nil {
		return fmt.Errorf("writing the symlink manifests: %w", err)
	}
	root := l.Parts.String()
	if !strings.Contains(root, "://") {
		root = "file://" + root
	}
	for {
		stale, err := l.stale(ctx, named, func(there []byte, parts []string) bool { return bytes.Equal(there, views.Manifest(root, parts)) })
		if err != nil || len(stale) == 0 {
			return err
		}
		if err := lease.Check(ctx); err != nil {
			return err
		}
		group, gctx := errgroup.WithContext(ctx)
		group.SetLimit(writers)
		for key, version := range stale {
			group.Go(func() error {
				_, err := l.Parts.Swap(gctx, key, views.Manifest(root, named[key]), version)
				return err
			})
		}
		if err := group.Wait(); !errors.Is(err, sink.ErrChanged) {
			return err
		}
		// A late write of a killed process has arrived, or the lease is lost.
	}
}

// writers is how many files are written, or removed, at once.
const writers = 8

// named returns the keys of a feed's live parts, by the key of the manifest that is to name
// them. Types of which nothing is live anymore have a manifest that says so.
func (l Lake) named(ctx context.Context, f ledger.Feed) (map[string][]string, error) {
	named := map[string][]string{}
	for p, err := range l.Live(ctx, f) {
		if err != nil {
			return nil, err
		}
		key := views.ManifestKey(p.Type, f.Name)
		named[key] = append(named[key], p.Key)
	}
	return named, l.Parts.List(ctx, views.ManifestsFolder, func(key string, _ int64) error {
		if t, _, _ := strings.Cut(strings.TrimPrefix(key, views.ManifestsFolder), "/"); key == views.ManifestKey(t, f.Name) {
			named[key] = append([]string(nil), named[key]...)
		}
		return nil
	})
}

// stale returns the manifests, with their versions, that do not name what they should, as
// decided by says. A manifest that is not there is stale, and has no version.
func (l Lake) stale(ctx context.Context, named map[string][]string, says func(there []byte, parts []string) bool) (map[string]sink.Version, error) {
	var mu sync.Mutex
	stale := map[string]sink.Version{}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for key, parts := range named {
		group.Go(func() error {
			there, version, err := l.Parts.Load(gctx, key)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err != nil || !says(there, parts) {
				mu.Lock()
				defer mu.Unlock()
				stale[key] = version
			}
			return nil
		})
	}
	return stale, group.Wait()
}
