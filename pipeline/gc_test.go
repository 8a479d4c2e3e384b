package pipeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

var noGrace = pipeline.GCOptions{Grace: -1}

// runFull runs the feed in full, n times.
func (w *world) runFull(t *testing.T, n int) {
	t.Helper()
	o := w.Options
	o.Full = true
	for range n {
		if _, err := pipeline.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) gc(t *testing.T, g pipeline.GCOptions) *lake.Garbage {
	t.Helper()
	found, err := pipeline.GC(t.Context(), w.Options, g)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// everything returns all files of the sink except those that come and go with a lease.
func (w *world) everything(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(w.files(t, ""), func(name string) bool { return strings.HasSuffix(name, ".lock") })
}

// wantManifests checks that the symlink manifests name what is live.
func (w *world) wantManifests(t *testing.T) {
	t.Helper()
	want, got := map[string]bool{}, map[string]bool{}
	for p, err := range w.lake().Live(t.Context(), w.feed(t)) {
		if err != nil {
			t.Fatal(err)
		}
		want["file://"+w.dir.String()+"/"+p.Key] = true
	}
	for _, name := range w.files(t, ".txt") {
		if !strings.HasPrefix(name, "_fhirkiln/athena/") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(w.dir.String(), name))
		if err != nil {
			t.Fatal(err)
		}
		for url := range strings.FieldsSeq(string(content)) {
			got[url] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("symlink manifests (-live +named):\n%s", diff)
	}
}

func TestGCRemovesDroppedRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{
		bulktest.Lines("Patient", resources("Patient", 0, 3)...), bulktest.Lines("Basic", resources("Basic", 0, 3)...)}})
	w.Feed.Keep.Runs = 1
	w.runFull(t, 3)
	feed := w.feed(t)
	if len(feed.Runs) != 1 || len(feed.Dropped) != 2 {
		t.Fatalf("%d live and %d dropped runs, want 1 and 2", len(feed.Runs), len(feed.Dropped))
	}
	if n := len(w.published(t)["Patient"]); n != 9 {
		t.Errorf("%d rows are there before gc, want those of three runs", n)
	}
	w.wantManifests(t)

	before := w.everything(t)
	if found := w.gc(t, pipeline.GCOptions{}); len(found.Files) > 0 || len(found.Runs) > 0 {
		t.Errorf("within the grace time gc removes %+v", found)
	}
	dry := w.gc(t, pipeline.GCOptions{Grace: -1, DryRun: true})
	if diff := cmp.Diff(before, w.everything(t)); diff != "" {
		t.Errorf("a dry run changed what is there:\n%s", diff)
	}
	found := w.gc(t, noGrace)
	dry.DryRun = false
	if diff := cmp.Diff(found, dry); diff != "" {
		t.Errorf("a dry run says other things than the true one (-true +dry):\n%s", diff)
	}
	if len(found.Runs) != 2 || found.Bytes == 0 {
		t.Errorf("gc removed %d bytes of the runs %q", found.Bytes, found.Runs)
	}
	gone := map[string]bool{}
	for _, f := range found.Files {
		gone[f.Key] = true
	}
	want := slices.DeleteFunc(before, func(name string) bool { return gone[name] })
	if diff := cmp.Diff(want, w.everything(t)); diff != "" {
		t.Errorf("what is left (-what gc did not name +there):\n%s", diff)
	}
	if diff := cmp.Diff(w.live(t), w.published(t)); diff != "" {
		t.Errorf("parts (-live +there):\n%s", diff)
	}
	if n := len(w.files(t, "report.json")); n != 3 {
		t.Errorf("%d reports are left, want all 3", n)
	}
	w.wantTidy(t)
	w.wantManifests(t)
	if again := w.gc(t, noGrace); len(again.Files) > 0 || len(again.Runs) > 0 || len(w.feed(t).Dropped) > 0 {
		t.Errorf("gc again finds %+v", again)
	}
}

// A dropped run that is not tidied up yet stays listed, so that its parts are removed later.
func TestGCOfARunThatIsNotTidy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 3)...)}})
	w.Feed.Keep.Runs = 1
	w.runFull(t, 2)
	run := w.feed(t).Dropped[0].Run
	change := func(do func(lease *ledger.Lease) error) {
		t.Helper()
		lease, err := ledger.Acquire(t.Context(), w.dir, ledger.Options{Feed: "members", Source: "bison", Purpose: "backfill"})
		if err == nil {
			err = errors.Join(do(lease), lease.Release(t.Context()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	change(func(lease *ledger.Lease) error {
		log, err := lease.OpenRun(t.Context(), run)
		if err != nil {
			return err
		}
		job := `[{"planned":[{"role":"data"}]},{"started":{"export":0,"status_url":"https://bulk.example/job"}}]`
		return errors.Join(log.Append(t.Context(), json.RawMessage(job)),
			lease.Update(t.Context(), func(f *ledger.Feed) error { f.Ended = append(f.Ended, run); return nil }))
	})
	server := w.Server
	w.Server = nil // as in the command, so that the job cannot be deleted
	w.gc(t, noGrace)
	if dropped := w.feed(t).Dropped; len(dropped) != 1 || len(w.published(t)["Patient"]) != 6 {
		t.Errorf("gc left %+v, and rows %v", dropped, w.published(t))
	}
	w.Server = server
	w.runFull(t, 1) // which tidies up
	w.gc(t, noGrace)
	if dropped := w.feed(t).Dropped; len(dropped) != 0 || len(w.published(t)["Patient"]) != 3 {
		t.Errorf("gc left %+v, and rows %v", dropped, w.published(t))
	}
}

// What an unfinished run has staged and recorded is not garbage, however old it is and whichever
// feed is collected.
func TestGCKeepsUnfinishedRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{
		bulktest.Lines("Patient", append(resources("Patient", 0, 3), `{"id":"no type","meta":{"lastUpdated":"2026-01-02T03:04:05.678Z"}}`)...)}})
	w.MaxQuarantined = -1
	var quality *pipeline.QualityError
	if _, err := pipeline.Run(t.Context(), w.Options); !errors.As(err, &quality) {
		t.Fatal(err)
	}
	if len(w.files(t, ".staged")) < 2 {
		t.Fatal("nothing is staged")
	}
	other := w.Options
	other.Feed.Name = "another"
	if _, err := pipeline.SetWatermark(t.Context(), other, nil, "2026-01-02T03:04:05Z"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"members", "another"} {
		w.Options.Feed.Name = name
		if found := w.gc(t, noGrace); len(found.Files) > 0 {
			t.Errorf("gc of %s removed %+v", name, found.Files)
		}
	}
	w.Feed.Name = "members"
	w.MaxQuarantined = 0.5
	var partial *pipeline.PartialError
	if _, err := pipeline.Run(t.Context(), w.Options); !errors.As(err, &partial) || w.kickOffs() != 1 {
		t.Errorf("the run does not go on: %v, after %d kick-offs", err, w.kickOffs())
	}
	if found := w.gc(t, noGrace); len(found.Files) > 0 {
		t.Errorf("gc removed %+v of a run that is live", found.Files)
	}
}

// If gc dies at any of its writes, the next gc finishes the work.
func TestGCDyingAnywhere(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) *world {
		w := newWorld(t, bulktest.Options{Data: bulktest.Files{
			bulktest.Lines("Patient", resources("Patient", 0, 3)...), bulktest.Lines("Basic", resources("Basic", 0, 3)...)}})
		w.runFull(t, 3)
		w.Feed.Keep.Runs = 1
		return w
	}
	counting := begin(t)
	all := countCalls(counting, func() { counting.gc(t, noGrace) })
	for n := int64(1); n <= all; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := begin(t)
			live := w.feed(t).Runs[2].Run
			dying := &mortalStore{Dir: w.dir, last: n%2 == 0}
			dying.lives.Store(n)
			w.Sink = dying
			if _, err := pipeline.GC(t.Context(), w.Options, noGrace); err != nil && !errors.Is(err, errDead) {
				t.Error(err)
			}
			for p, err := range w.lake().Live(t.Context(), w.feed(t)) {
				if err == nil {
					var f sink.Reader
					if f, err = w.dir.Open(t.Context(), p.Key); err == nil {
						f.Close()
					}
				}
				if err != nil {
					t.Errorf("what is live is not there: %v", err)
				}
			}
			w.Sink = w.dir
			w.gc(t, noGrace)
			feed := w.feed(t)
			if len(feed.Runs) != 1 || feed.Runs[0].Run != live || len(feed.Dropped) > 0 {
				t.Errorf("live %+v, dropped %+v", feed.Runs, feed.Dropped)
			}
			if diff := cmp.Diff(w.live(t), w.published(t)); diff != "" {
				t.Errorf("parts (-live +there):\n%s", diff)
			}
			w.wantTidy(t)
			w.wantManifests(t)
		})
	}
}
