package lake_test

import (
	"strings"
	"testing"

	"fhirkiln/pipeline/ledger"
)

// The symlink manifests name what is live, and are empty of types of which nothing is.
func TestManifests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, a{types: []string{"Patient", "Basic"}})
	w.publish(t, a{})
	manifest := func(resourceType string) []string {
		t.Helper()
		must(t, w.PutManifests(t.Context(), w.feed(t, "members")))
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
