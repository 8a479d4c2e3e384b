package pipeline_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/columnar"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// listed counts how often parts or the folders of runs are listed.
type listed struct {
	*sink.Dir
	n atomic.Int32
}

func (l *listed) List(ctx context.Context, prefix string, each func(key string, size int64) error) error {
	if prefix == columnar.LayoutPath+"/" || prefix == ledger.RunsFolder {
		l.n.Add(1)
	}
	return l.Dir.List(ctx, prefix, each)
}

// One listing serves many feeds: what is in it goes once, and what feeds have done since
// stays.
func TestGCOfManyFeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 3)...)}})
	lists := &listed{Dir: w.dir}
	w.Sink = lists
	w.Feed.Keep.Runs = 1
	feeds := []string{"members", "another"}
	for _, w.Feed.Name = range feeds {
		w.runFull(t, 2)
	}
	const orphan = "_fhirkiln/runs/r20200102t030405678z-aaaaaa/members.ndjson.gz" // of no feed in particular
	w.put(t, orphan)

	for _, dry := range []bool{true, false} {
		lists.n.Store(0)
		inventory, err := (lake.Lake{Parts: lists, State: lists}).TakeInventory(t.Context(), feeds...)
		if err != nil {
			t.Fatal(err)
		}
		if n := lists.n.Load(); n != 2 {
			t.Errorf("an inventory listed %d times, want once where parts are and once where the runs are", n)
		}
		if !dry {
			for _, w.Feed.Name = range feeds {
				w.runFull(t, 1) // drops what was live when it was listed
			}
		}
		lists.n.Store(0)
		files := map[string]int{}
		for _, w.Feed.Name = range feeds {
			for _, f := range w.gc(t, pipeline.GCOptions{Grace: -1, DryRun: dry, Inventory: inventory}).Files {
				files[f.Key]++
			}
		}
		if n := lists.n.Load(); n != 0 {
			t.Errorf("gc listed %d times in spite of its inventory", n)
		}
		if files[orphan] != 1 {
			t.Errorf("the orphan was found %d times", files[orphan])
		}
		for key, n := range files {
			if n != 1 {
				t.Errorf("%s was found %d times", key, n)
			}
		}
		if want := map[bool]int{true: 5, false: 9}[dry]; len(files) != want { // the orphan; of each feed's one or two runs a part and a list of parts
			t.Errorf("dry run %v: gc found %v, want %d files", dry, files, want)
		}
	}
	var live []string
	for _, w.Feed.Name = range feeds {
		for p, err := range w.lake().Live(t.Context(), w.feed(t)) {
			if err != nil {
				t.Fatal(err)
			}
			live = append(live, p.Key)
		}
	}
	slices.Sort(live)
	if diff := cmp.Diff(live, w.files(t, ".parquet")); diff != "" {
		t.Errorf("parts (-live +there):\n%s", diff)
	}
}

// A run that was staged when all was listed, and is published when gc comes to its feed, keeps
// its parts.
func TestGCWhileARunPublishes(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-30 * time.Hour) // and was cut off, and goes on today
	w := newWorld(t, bulktest.Options{TransactionTime: func() time.Time { return began },
		Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 3)...)}})
	o := w.Options
	var inventory *lake.Inventory
	o.Now = func() time.Time {
		if inventory == nil {
			return began
		}
		return time.Now()
	}
	o.Sink = &unlocked{State: w.dir, confirm: func() {
		if inventory != nil {
			return
		}
		staged := w.files(t, ".staged")
		for _, name := range staged {
			if err := os.Chtimes(filepath.Join(w.dir.String(), name), began, began); err != nil {
				t.Error(err)
			}
		}
		var err error
		if inventory, err = w.lake().TakeInventory(t.Context(), "members"); err != nil || len(staged) == 0 {
			t.Errorf("%d are staged; error %v", len(staged), err)
		}
	}}
	if _, err := pipeline.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if found := w.gc(t, pipeline.GCOptions{Inventory: inventory}); len(found.Files) > 0 {
		t.Errorf("gc removed %+v", found.Files)
	}
	w.wantLive(t, 1)
}

// Two states over one sink do not remove each other's parts.
func TestGCOfAnotherState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 3)...)}})
	now := time.Now()
	w.Options.Now = func() time.Time { return now }
	for range 2 {
		state, err := sink.OpenDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { state.Close() })
		w.State = state
		if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
			t.Fatal(err)
		}
		now = now.Add(48 * time.Hour)
		if found := w.gc(t, pipeline.GCOptions{}); len(found.Files) > 0 {
			t.Errorf("gc removed %+v", found.Files)
		}
	}
}

// A run that was published after all was listed, and is dropped when gc comes to its feed, is
// not forgotten before its parts are removed.
func TestGCOfWhatWasNotListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 3)...)}})
	w.Feed.Keep.Runs = 1
	inventory, err := w.lake().TakeInventory(t.Context(), "members")
	if err != nil {
		t.Fatal(err)
	}
	w.runFull(t, 2)
	if found := w.gc(t, pipeline.GCOptions{Grace: -1, Inventory: inventory}); len(found.Files) > 0 || found.Waiting != 1 {
		t.Errorf("gc found %+v", found)
	}
	w.gc(t, noGrace)
	if n := len(w.files(t, ".parquet")); n != 1 {
		t.Errorf("%d parts are left, want that of the live run", n)
	}
}

// Where the state is apart from the parts, gc goes by what a run has left there, and so
// removes that last.
func TestGCWithTheStateApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 3)...)}})
	state, err := sink.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	w.State = state
	feeds := []string{"members", "another"}
	for _, w.Feed.Name = range feeds {
		w.runFull(t, 1)
	}
	const dead = "r20200102t030405678z-aaaaaa"
	part := "r4-core-1/Patient/kiln_source=bison/kiln_feed=another/kiln_run=" + dead + "/p00001-1-aaaaaaaa.parquet"
	list := ledger.Folder(dead) + "members.ndjson.gz"
	put := func() {
		t.Helper()
		w.put(t, part)
		if err := state.Put(t.Context(), list, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	put()
	inventory, err := (lake.Lake{Parts: w.dir, State: state}).TakeInventory(t.Context(), feeds...)
	if err != nil {
		t.Fatal(err)
	}
	for n, name := range feeds {
		w.Feed.Name = name
		if found := w.gc(t, pipeline.GCOptions{Inventory: inventory}); len(found.Files) != 2*n {
			t.Errorf("gc of %s found %+v", name, found.Files)
		}
	}
	put()
	w.Sink = &stubborn{Dir: w.dir, key: part}
	if _, err := pipeline.GC(t.Context(), w.Options, pipeline.GCOptions{}); !errors.Is(err, errDead) {
		t.Errorf("error %v", err)
	}
	if _, _, err := state.Load(t.Context(), list); err != nil {
		t.Errorf("the list is gone before the part: %v", err)
	}
}

// stubborn is a sink that does not remove one file.
type stubborn struct {
	*sink.Dir
	key string
}

func (s *stubborn) Remove(ctx context.Context, keys ...string) error {
	if slices.Contains(keys, s.key) {
		return errDead
	}
	return s.Dir.Remove(ctx, keys...)
}
