package lake_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// collector has no grace and no inventory.
func (w *world) collector() lake.Collector {
	return lake.Collector{Lake: w.Lake, Keep: w.keep, Now: func() time.Time { return w.now }}
}

// collect collects a feed's garbage.
func (w *world) collect(t *testing.T, feed string, c lake.Collector) *lake.Garbage {
	t.Helper()
	found, err := w.tryCollect(t, feed, c)
	must(t, err)
	return found
}

func (w *world) tryCollect(t *testing.T, feed string, c lake.Collector) (found *lake.Garbage, err error) {
	t.Helper()
	err = w.under(t, feed, func(lease *ledger.Lease) (err error) {
		found, err = c.Collect(lease.Context(), lease)
		return err
	})
	return found, err
}

// of returns the keys of all files of a run.
func (w *world) of(t *testing.T, run string) []string {
	t.Helper()
	return slices.DeleteFunc(w.there(t, ""), func(key string) bool { return !strings.Contains(key, run) })
}

// Runs with these names began long ago.
const (
	dead  = "r20200102t030405678z-aaaaaa"
	other = "r20200102t030405678z-bbbbbb"
	lost  = "r20200102t030405678z-dddddd"
)

// GC removes what killed processes have left, and nothing else.
func TestGCRemovesOrphans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, a{})
	const patch = "r4-core-1/Patient/kiln_source=bison/kiln_feed=members/kiln_run="
	w.now = time.Now() // when files are staged
	young := lake.NewRunID(w.now)
	orphans := []string{
		patch + dead + "/p00001-1-aaaaaaaa.parquet",
		"r4-core-1/deleted/kiln_source=bison/kiln_feed=members/kiln_run=" + dead + "/p00002-1-aaaaaaaa.parquet",
		"_fhirkiln/runs/" + dead + "/members.ndjson.gz",
		lake.QuarantineKey(dead, "q00001-1-aaaaaaaa"),
	}
	kept := []string{
		patch + young + "/p1.parquet",
		patch + lost + "/p1.parquet", // published, and the feed's object does not know of it any more
		lake.PartsKey(lost),
		patch + "mine/p1.parquet",
		patch + dead + "/notes.txt",
		patch + dead + "/deeper/p1.parquet",
		"r4-core-1/Patient/kiln_source=bison/kiln_feed=another/kiln_run=" + dead + "/p1.parquet",
		"r4-core-1/Patient/kiln_source=other/kiln_feed=members/kiln_run=" + dead + "/p1.parquet",
		"elsewhere/Patient/kiln_source=bison/kiln_feed=members/kiln_run=" + dead + "/p1.parquet",
		"_fhirkiln/runs/" + young + "/members.ndjson.gz",
		"_fhirkiln/runs/" + other + "/ledger/000001-000001.json", // of a feed that has lost its object
		lake.QuarantineKey(other, "q1"),
	}
	for _, key := range append(slices.Clone(orphans), kept...) {
		w.put(t, w.dir, key)
	}
	staged := []string{patch + dead + "/p3.parquet", lake.QuarantineKey(dead, "q2")}
	for _, key := range staged {
		s, err := w.dir.Stage(t.Context(), key)
		must(t, err)
		_, err = s.Finish(t.Context())
		must(t, err)
	}
	kept = append(kept, w.live(t, "members")...)

	graceful := w.collector()
	graceful.Grace = 24 * time.Hour
	dry, err := graceful.Find(t.Context(), "members")
	must(t, err)
	found := w.collect(t, "members", graceful)
	if len(found.Files) != len(orphans) { // what is staged is of today
		t.Errorf("gc found %+v, want %q", found.Files, orphans)
	}
	dry.DryRun = false
	if diff := cmp.Diff(found, dry); diff != "" {
		t.Errorf("a dry run says other things than the true one (-true +dry):\n%s", diff)
	}
	there := w.there(t, "")
	for _, key := range kept {
		if !slices.Contains(there, key) {
			t.Errorf("gc removed %s", key)
		}
	}
	for _, key := range orphans {
		if slices.Contains(there, key) {
			t.Errorf("gc left %s", key)
		}
	}
	w.now = w.now.Add(time.Minute)
	found = w.collect(t, "members", w.collector())
	var keys []string
	for _, f := range found.Files {
		if f.Staged {
			keys = append(keys, f.Key)
		}
	}
	slices.Sort(staged)
	slices.Sort(keys)
	if !slices.Equal(keys, staged) || len(found.Files) != 4 { // and those of the young run
		t.Errorf("without grace gc found %+v", found.Files)
	}
}

// Two states that share one place for parts do not remove each other's parts.
func TestGCOfAnotherState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 2 {
		w.State = openDir(t)
		w.publish(t, a{})
		w.now = w.now.Add(48 * time.Hour)
		if found := w.collect(t, "members", w.collector()); len(found.Files) > 0 {
			t.Errorf("gc removed %+v", found.Files)
		}
	}
}

// A ledger entry that a killed process had sent may arrive after the run is published and its
// ledger is gone. It does not keep anything else from being removed.
func TestGCRemovesLateEntries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var runs []string
	for n := range 3 {
		run := w.publish(t, a{}).Run
		runs = append(runs, run)
		w.put(t, w.dir, lake.QuarantineKey(run, "q00001-1-aaaaaaaa"))
		w.put(t, w.dir, fmt.Sprintf("%sledger/000001-%06d.json", ledger.Folder(run), n+1))
	}
	dropped, live, ended := runs[0], runs[1], runs[2]
	w.change(t, "members", func(f *ledger.Feed) {
		f.Drop([]string{dropped}, w.now)
		f.Ended = []string{ended}
	})
	found := w.collect(t, "members", w.collector())
	if !slices.Equal(found.Runs, []string{dropped}) {
		t.Errorf("gc is done with %q", found.Runs)
	}
	if left := w.of(t, dropped); !slices.Equal(left, []string{lake.ReportKey(dropped)}) {
		t.Errorf("of the run that was dropped there is %q", left)
	}
	if left := w.of(t, live); len(left) != 4 {
		t.Errorf("of the live run there is %q", left)
	}
	if left := w.of(t, ended); len(left) != 5 {
		t.Errorf("of the run that is not tidied up there is %q", left)
	}
}

// What a killed process had begun to stage may arrive after the run is published, and belongs to
// no part.
func TestGCDiscardsWhatIsStagedLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	live, ended := w.publish(t, a{}), w.publish(t, a{})
	w.change(t, "members", func(f *ledger.Feed) { f.Ended = []string{ended.Run} })
	part := func(run string) string {
		return lake.PartKey{Type: "Patient", Source: "bison", Feed: "members", Run: run, Name: "p00009-1-aaaaaaaa"}.String()
	}
	late := part(live.Run)
	for _, key := range []string{late, part(ended.Run), live.Parts[0].Key, lake.QuarantineKey(live.Run, "q00001-1-aaaaaaaa")} {
		s, err := w.dir.Stage(t.Context(), key)
		must(t, err)
		_, err = s.Finish(t.Context())
		must(t, err)
	}
	c := w.collector()
	w.now = time.Now().Add(time.Minute) // when files are staged
	c.Grace = 24 * time.Hour
	if found := w.collect(t, "members", c); len(found.Files) > 0 {
		t.Errorf("gc found %+v", found.Files)
	}
	found := w.collect(t, "members", w.collector())
	if want := []lake.GarbageFile{{Key: late, Why: lake.OfNoRun, Staged: true}}; !slices.Equal(found.Files, want) {
		t.Errorf("gc found %+v, want %+v", found.Files, want)
	}
	if there := w.live(t, "members"); len(w.there(t, ".parquet")) != len(there) {
		t.Errorf("parts: %q, live: %q", w.there(t, ".parquet"), there)
	}
}

var errStubborn = errors.New("it stays")

// stubborn is a store that does not remove one file.
type stubborn struct {
	*sink.Dir
	key string
}

func (s *stubborn) Remove(ctx context.Context, keys ...string) error {
	if slices.Contains(keys, s.key) {
		return errStubborn
	}
	return s.Dir.Remove(ctx, keys...)
}

// If the state is apart from the parts, gc goes by what a run has left in the state, and so
// removes that last.
func TestGCWithTheStateApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.State = openDir(t)
	feeds := []string{"members", "another"}
	for _, name := range feeds {
		w.publish(t, a{feed: name})
	}
	part := lake.PartKey{Type: "Patient", Source: "bison", Feed: "another", Run: dead, Name: "p00001-1-aaaaaaaa"}.String()
	list := ledger.Folder(dead) + "members.ndjson.gz"
	put := func() {
		t.Helper()
		w.put(t, w.Parts, part)
		w.put(t, w.State, list)
	}
	put()
	c := w.collector()
	var err error
	c.Inventory, err = w.TakeInventory(t.Context(), feeds...)
	must(t, err)
	for n, name := range feeds {
		if found := w.collect(t, name, c); len(found.Files) != 2*n {
			t.Errorf("gc of %s found %+v", name, found.Files)
		}
	}
	put()
	w.Parts = &stubborn{Dir: w.dir, key: part}
	if _, err := w.tryCollect(t, "another", w.collector()); !errors.Is(err, errStubborn) {
		t.Errorf("error %v", err)
	}
	if _, _, err := w.State.Load(t.Context(), list); err != nil {
		t.Errorf("the list is gone before the part: %v", err)
	}
}
