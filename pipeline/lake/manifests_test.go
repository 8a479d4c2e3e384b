package lake_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// Symlink manifests name what is live. For types of which nothing is live, they are empty.
func TestManifests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, a{types: []string{"Patient", "Basic"}})
	w.publish(t, a{})
	manifest := func(resourceType string) []string {
		t.Helper()
		w.putManifests(t, "members")
		content, _, err := w.dir.Load(t.Context(), "_fhirkiln/athena/"+resourceType+"/members.txt")
		must(t, err)
		return strings.Fields(string(content))
	}
	if n := len(manifest("Patient")); n != 2 || len(manifest("Basic")) != 1 {
		t.Errorf("the manifests name %d patients, %q", n, manifest("Basic"))
	}
	w.change(t, "members", func(f *ledger.Feed) { f.Drop([]string{f.Runs[0].Run}, w.now) })
	if got, live := manifest("Patient"), w.live(t, "members"); len(got) != 1 || got[0] != "file://"+w.dir.String()+"/"+live[0] || len(manifest("Basic")) > 0 {
		t.Errorf("the manifests name %q, %q; live is %q", got, manifest("Basic"), live)
	}
}

// late is a store in which something happens once, after a file is read or before one is
// swapped.
type late struct {
	*sink.Dir
	loaded, swaps func()
}

func (s *late) Load(ctx context.Context, key string) ([]byte, sink.Version, error) {
	defer once(&s.loaded)
	return s.Dir.Load(ctx, key)
}

func (s *late) Swap(ctx context.Context, key string, content []byte, old sink.Version) (sink.Version, error) {
	once(&s.swaps)
	return s.Dir.Swap(ctx, key, content, old)
}

func once(do *func()) {
	if then := *do; then != nil {
		*do = nil
		then()
	}
}

const manifest = "_fhirkiln/athena/Patient/members.txt"

// swap replaces a file, whatever its version.
func (w *world) swap(t *testing.T, key string, content []byte) {
	t.Helper()
	_, version, err := w.dir.Load(t.Context(), key)
	must(t, err)
	_, err = w.dir.Swap(t.Context(), key, content, version)
	must(t, err)
}

// A killed process's write may arrive late. The holder of the lease puts it right.
func TestAManifestThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, a{})
	w.change(t, "members", func(f *ledger.Feed) { f.Drop([]string{f.Runs[0].Run}, w.now) })
	w.Parts = &late{Dir: w.dir, swaps: func() { w.swap(t, manifest, []byte("late\n")) }}
	w.putManifests(t, "members")
	if content, _, err := w.dir.Load(t.Context(), manifest); err != nil || len(content) > 0 {
		t.Errorf("the manifest has %q, %v", content, err)
	}
}

// A process that was stopped and has lost its lease leaves the manifests as they are, whenever
// it lost it.
func TestManifestsOfALostLease(t *testing.T) {
	t.Parallel()
	for name, written := range map[string]bool{"when it has read, and another has yet to write": false, "when it writes, and another has written": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(t, a{})
			w.change(t, "members", func(f *ledger.Feed) { f.Drop([]string{f.Runs[0].Run}, w.now) })
			before, _, err := w.dir.Load(t.Context(), manifest)
			must(t, err)
			if written {
				before = []byte("newer\n")
			}
			lose := func() {
				f := w.feed(t, "members")
				f.Generation++
				f.Sequence++
				f.Lease.Holder = "another"
				content, err := json.Marshal(f)
				must(t, err)
				w.swap(t, ledger.FeedKey("members"), content)
				w.swap(t, manifest, before)
			}
			w.Parts = &late{Dir: w.dir, loaded: lose}
			if written {
				w.Parts = &late{Dir: w.dir, swaps: lose}
			}
			err = w.under(t, "members", func(lease *ledger.Lease) error { return w.PutManifests(lease.Context(), lease) })
			if !errors.Is(err, ledger.ErrLost) {
				t.Errorf("error %v", err)
			}
			if content, _, err := w.dir.Load(t.Context(), manifest); err != nil || string(content) != string(before) {
				t.Errorf("the manifest has %q, %v", content, err)
			}
		})
	}
}
