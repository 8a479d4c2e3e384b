package lake

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/ledger"
)

// manifests checks that a feed's symlink manifests name what is live. If a process is working on
// the feed, or has died while it did, it has yet to write them, so there is nothing to report.
func (v *verifier) manifests(ctx context.Context, name string) error {
	f, err := ledger.Read(ctx, v.lake.State, name) // again: reading the parts took time
	if unreadable(err) || err == nil && f.Lease != nil {
		return nil
	}
	if err != nil {
		return err
	}
	named, err := v.lake.named(ctx, f)
	if unreadable(err) {
		return nil // the run's problems already say so
	}
	if err != nil {
		return err
	}
	stale, err := v.lake.stale(ctx, named, names)
	if err != nil {
		return err
	}
	if now, err := ledger.Read(ctx, v.lake.State, name); err != nil || now.Sequence != f.Sequence {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(stale)) {
		if stale[key] != "" || len(named[key]) > 0 {
			v.problem(&v.ManifestProblems, "feed %s: the symlink manifest %s does not name the live parts", name, key)
		}
	}
	return nil
}

// names reports whether a manifest names exactly these parts, wherever they are: a lake may be
// verified where it was copied or mounted to.
func names(manifest []byte, parts []string) bool {
	var keys []string
	for line := range bytes.Lines(manifest) {
		url := strings.TrimSpace(string(line))
		keys = append(keys, url[max(strings.LastIndex(url, columnar.LayoutPath+"/"), 0):])
	}
	slices.Sort(keys)
	return slices.Equal(keys, slices.Sorted(slices.Values(parts)))
}
