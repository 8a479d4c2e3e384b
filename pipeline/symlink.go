package pipeline

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

// putSymlinkManifests makes the symlink manifests of a feed, by which Athena, Trino and Presto
// know what is live, say what its object says. What they say already is not written
// again. It is done under the feed's lease, after each change of what is live.
func (o Options) putSymlinkManifests(ctx context.Context, f ledger.Feed) error {
	keys := map[string][]string{} // by type
	for p, err := range Live(ctx, o.State, f) {
		if err != nil {
			return fmt.Errorf("writing the symlink manifests: %w", err)
		}
		keys[p.Type] = append(keys[p.Type], p.Key)
	}
	// Types of which nothing is live any more have one that says so.
	err := o.Sink.List(ctx, manifestsFolder, func(key string, _ int64) error {
		if t, _, _ := strings.Cut(strings.TrimPrefix(key, manifestsFolder), "/"); key == views.ManifestKey(t, f.Name) {
			keys[t] = append([]string(nil), keys[t]...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	root := o.Sink.String()
	if !strings.Contains(root, "://") {
		root = "file://" + root
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(publishers)
	for t, parts := range keys {
		group.Go(func() error { return o.putIfOther(gctx, views.ManifestKey(t, f.Name), views.Manifest(root, parts)) })
	}
	return group.Wait()
}

// putIfOther writes a small file of the sink, unless it says that already.
func (o Options) putIfOther(ctx context.Context, key string, content []byte) error {
	there, err := o.content(ctx, key)
	switch {
	case err == nil && bytes.Equal(there, content):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return o.Sink.Put(ctx, key, content)
}

const manifestsFolder = "_fhirkiln/athena/"

// content reads a small file of the sink.
func (o Options) content(ctx context.Context, key string) ([]byte, error) {
	r, err := o.Sink.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
}

// tryPutSymlinkManifests is putSymlinkManifests after a change that counts already: the next
// run heals what fails here.
func (r *run) tryPutSymlinkManifests(ctx context.Context) {
	if err := r.putSymlinkManifests(ctx, r.lease.Feed()); err != nil && ctx.Err() == nil {
		r.Log.Warn("the symlink manifests could not be written; the next run tries again", "error", err)
	}
}
