package lake_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
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

// One listing serves many feeds: what is in it is removed once, and what feeds have done since
// stays.
func TestGCOfManyFeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lists := &listed{Dir: w.dir}
	w.Lake = lake.Lake{Parts: lists, State: lists}
	w.keep = lake.Retention{Runs: 1}
	feeds := []string{"members", "another"}
	for _, name := range feeds {
		w.publish(t, a{feed: name})
		w.publish(t, a{feed: name})
	}
	const orphan = "_fhirkiln/runs/" + dead + "/members.ndjson.gz" // of no feed in particular
	w.put(t, w.dir, orphan)

	for _, dry := range []bool{true, false} {
		lists.n.Store(0)
		c := w.collector()
		var err error
		c.Inventory, err = w.TakeInventory(t.Context(), feeds...)
		must(t, err)
		if n := lists.n.Load(); n != 2 {
			t.Errorf("an inventory listed %d times, want once where parts are and once where the runs are", n)
		}
		if !dry {
			for _, name := range feeds {
				w.publish(t, a{feed: name}) // drops what was live when it was listed
			}
		}
		lists.n.Store(0)
		files := map[string]int{}
		for _, name := range feeds {
			var found *lake.Garbage
			if dry {
				found, err = c.Find(t.Context(), name)
				must(t, err)
			} else {
				found = w.collect(t, name, c)
			}
			for _, f := range found.Files {
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
	if diff := cmp.Diff(w.live(t, feeds...), w.there(t, ".parquet")); diff != "" {
		t.Errorf("parts (-live +there):\n%s", diff)
	}
}

// A run that was published after the listing, and is dropped when gc gets to its feed, is not
// forgotten before its parts are removed.
func TestGCOfWhatWasNotListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keep = lake.Retention{Runs: 1}
	c := w.collector()
	var err error
	c.Inventory, err = w.TakeInventory(t.Context(), "members")
	must(t, err)
	w.publish(t, a{})
	w.publish(t, a{})
	if found := w.collect(t, "members", c); len(found.Files) > 0 || found.Waiting != 1 {
		t.Errorf("gc found %+v", found)
	}
	w.collect(t, "members", w.collector())
	if n := len(w.there(t, ".parquet")); n != 1 {
		t.Errorf("%d parts are left, want that of the live run", n)
	}
}

// decorated is a store that cannot be compared with ==.
type decorated struct {
	*sink.Dir
	_ func()
}

// Two handles of one place are one place, whatever they are made of.
func TestApart(t *testing.T) {
	t.Parallel()
	dir, other := openDir(t), openDir(t)
	again, err := sink.OpenDir(dir.String())
	must(t, err)
	t.Cleanup(func() { again.Close() })
	for _, tt := range []struct {
		parts, state lake.Store
		want         bool
	}{
		{dir, dir, false}, {dir, again, false}, {decorated{Dir: dir}, decorated{Dir: again}, false}, {decorated{Dir: dir}, dir, false},
		{dir, other, true}, {decorated{Dir: dir}, decorated{Dir: other}, true}, {nil, dir, true},
	} {
		if got := (lake.Lake{Parts: tt.parts, State: tt.state}).Apart(); got != tt.want {
			t.Errorf("%v and %v: apart is %v", tt.parts, tt.state, got)
		}
	}
}
