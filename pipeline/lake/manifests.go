package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/sync/errgroup"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/pipeline/views"
)

// PutManifests makes the symlink manifests of a feed, by which Athena, Trino and Presto
// know what is live, say what its object says. What they say already is not written
// again. It is done under the feed's lease, after each change of what is live.
func (l Lake) PutManifests(ctx context.Context, f ledger.Feed) error {
	keys := map[string][]string{} // by type
	for p, err := range l.Live(ctx, f) {
		if err != nil {
			return fmt.Errorf("writing the symlink manifests: %w", err)
		}
		keys[p.Type] = append(keys[p.Type], p.Key)
	}
	// Types of which nothing is live any more have one that says so.
	err := l.Parts.List(ctx, views.ManifestsFolder, func(key string, _ int64) error {
		if t, _, _ := strings.Cut(strings.TrimPrefix(key, views.ManifestsFolder), "/"); key == views.ManifestKey(t, f.Name) {
			keys[t] = append([]string(nil), keys[t]...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	root := l.Parts.String()
	if !strings.Contains(root, "://") {
		root = "file://" + root
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for t, parts := range keys {
		group.Go(func() error {
			return putIfOther(gctx, l.Parts, views.ManifestKey(t, f.Name), views.Manifest(root, parts))
		})
	}
	return group.Wait()
}

// writers is how many files are written, or removed, at once.
const writers = 8

// putIfOther writes a small file, unless it says that already.
func putIfOther(ctx context.Context, s Store, key string, content []byte) error {
	there, err := read(ctx, s, key)
	switch {
	case err == nil && bytes.Equal(there, content):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return s.Put(ctx, key, content)
}

// read reads a small file.
func read(ctx context.Context, s Store, key string) ([]byte, error) {
	r, err := s.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
}
