package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

const folder = "_fhirkiln/runs/r1/ledger/"

func open(t *testing.T, l *ledger.Lease) *ledger.Run {
	t.Helper()
	r, err := l.OpenRun(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// appendAll appends numbers, which are the entries of these tests.
func appendAll(t *testing.T, r *ledger.Run, entries ...string) {
	t.Helper()
	for _, e := range entries {
		if err := r.Append(t.Context(), json.RawMessage(e)); err != nil {
			t.Fatal(err)
		}
	}
}

func all(entries iter.Seq2[json.RawMessage, error]) ([]string, error) {
	var found []string
	for e, err := range entries {
		if err != nil {
			return found, err
		}
		found = append(found, string(e))
	}
	return found, nil
}

func wantEntries(t *testing.T, entries iter.Seq2[json.RawMessage, error], want ...string) {
	t.Helper()
	found, err := all(entries)
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// successor takes the lease of a process that is gone, or seems to be.
func successor(t *testing.T, m *memory) *ledger.Lease {
	t.Helper()
	m.die("_fhirkiln/feeds/members.lock")
	l := acquire(t, lockable{&process{memory: m}})
	t.Cleanup(func() { release(t, l) })
	return l
}

func TestEntries(t *testing.T) {
	t.Parallel()
	dir, err := sink.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	for name, s := range map[string]ledger.Store{"memory": newMemory(), "disk": dir} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantEntries(t, ledger.ReadRun(t.Context(), s, "r1"))
			var want []string
			for generation := range 3 {
				l := acquire(t, s)
				r := open(t, l)
				wantEntries(t, r.Entries(t.Context()), want...)
				if again := open(t, l); again != r {
					t.Error("a run opened again is another one")
				}
				for n := range 40 {
					e := fmt.Sprintf(`{"generation":%d,"number":%d}`, generation, n)
					appendAll(t, r, e)
					want = append(want, e)
				}
				wantEntries(t, ledger.ReadRun(t.Context(), s, "r1"), want...)
				if err := r.Append(t.Context(), json.RawMessage(`{`)); err == nil {
					t.Error("an entry may be anything")
				}
				release(t, l)
				if err := r.Append(t.Context(), json.RawMessage(`1`)); err == nil || errors.Is(err, ledger.ErrLost) {
					t.Errorf("Append after Release: %v", err)
				}
			}
			for e, err := range ledger.ReadRun(t.Context(), s, "r1") {
				if err != nil || string(e) != want[0] {
					t.Errorf("%s, %v", e, err)
				}
				break
			}
		})
	}
}

func TestEntriesAtOnce(t *testing.T) {
	t.Parallel()
	m := newMemory()
	r := open(t, successor(t, m))
	var writers sync.WaitGroup
	for w := range 20 {
		writers.Go(func() {
			for n := range 20 {
				if err := r.Append(t.Context(), json.RawMessage(fmt.Sprintf("[%d,%d]", w, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	found, err := all(open(t, successor(t, m)).Entries(t.Context()))
	if err != nil || len(found) != 400 {
		t.Fatalf("%d entries, %v", len(found), err)
	}
	last := map[int]int{}
	for _, e := range found {
		var pair [2]int
		if err := json.Unmarshal([]byte(e), &pair); err != nil || last[pair[0]] != pair[1] {
			t.Fatalf("%s after %d: %v", e, last[pair[0]]-1, err)
		}
		last[pair[0]]++
	}
}

func TestAnOldHoldersEntriesDoNotCount(t *testing.T) {
	t.Parallel()
	m := newMemory()
	old := successor(t, m)
	before := open(t, old)
	appendAll(t, before, "1", "2")

	// It takes the lease and lists, but its opening comes late.
	slow := &process{memory: m}
	m.die("_fhirkiln/feeds/members.lock")
	listed, goOn := make(chan struct{}), make(chan struct{})
	slow.before(func(_ context.Context, call, _ string) error {
		if call == "put" {
			close(listed)
			<-goOn
		}
		return nil
	})
	between := acquire(t, lockable{slow})
	t.Cleanup(func() { release(t, between) })
	opened := make(chan *ledger.Run)
	go func() {
		r, _ := between.OpenRun(context.Background(), "r1")
		opened <- r
	}()
	<-listed

	appendAll(t, before, "3") // is seen by the next one
	next := successor(t, m)
	r := open(t, next)
	wantEntries(t, r.Entries(t.Context()), "1", "2", "3")
	appendAll(t, r, "4")

	slow.before(nil)
	close(goOn)
	if r := <-opened; r != nil { // it cannot know yet
		_ = r.Append(t.Context(), json.RawMessage("666"))
	}
	_ = before.Append(t.Context(), json.RawMessage("666"))
	if n := len(m.keys(folder)); n != 9 {
		t.Errorf("there are %d entries with those that do not count, want 9", n)
	}
	wantEntries(t, ledger.ReadRun(t.Context(), m, "r1"), "1", "2", "3", "4")

	last := successor(t, m)
	wantEntries(t, open(t, last).Entries(t.Context()), "1", "2", "3", "4")
	if _, err := old.OpenRun(t.Context(), "r2"); err != nil { // nor can this one
		t.Error(err)
	}
	if err := old.Update(t.Context(), nothing); !errors.Is(err, ledger.ErrLost) {
		t.Error(err)
	}
	if err := before.Append(t.Context(), json.RawMessage("666")); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("Append after the loss: %v", err)
	}
	if _, err := between.OpenRun(t.Context(), "r3"); err != nil {
		t.Error(err)
	}
	if _, err := last.OpenRun(t.Context(), "r3"); err != nil {
		t.Error(err)
	}
	// What a later lease has opened is not for older ones.
	if _, err := next.OpenRun(t.Context(), "r3"); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("OpenRun behind the times: %v", err)
	}
}

// A write whose answer was lost is repeated as it was, or counts as it is.
func TestOpenRunAgain(t *testing.T) {
	t.Parallel()
	m := newMemory()
	old := open(t, successor(t, m))
	appendAll(t, old, "1")
	s := &process{memory: m}
	m.die("_fhirkiln/feeds/members.lock")
	l := acquire(t, lockable{s})
	defer release(t, l)
	lose := func(_ context.Context, call, _ string) error {
		if call == "put" {
			return errOutage
		}
		return nil
	}
	s.after(lose)
	if _, err := l.OpenRun(t.Context(), "r1"); err != errOutage {
		t.Errorf("OpenRun: %v", err)
	}
	s.after(nil)
	appendAll(t, old, "666")
	r := open(t, l)
	wantEntries(t, r.Entries(t.Context()), "1")
	s.after(lose)
	if err := r.Append(t.Context(), json.RawMessage("2")); err != errOutage {
		t.Errorf("Append: %v", err)
	}
	s.before(lose)
	if err := r.Append(t.Context(), json.RawMessage("3")); err != errOutage {
		t.Errorf("Append: %v", err)
	}
	s.before(nil)
	appendAll(t, r, "2")
	wantEntries(t, ledger.ReadRun(t.Context(), m, "r1"), "1", "2", "2")
}

func TestForget(t *testing.T) {
	t.Parallel()
	m := newMemory()
	old := open(t, successor(t, m))
	appendAll(t, old, "1", "2", "3")
	l := successor(t, m)
	r := open(t, l)
	appendAll(t, old, "666") // does not count, also when others are removed
	appendAll(t, r, "4", "5")
	whole := m.keys("")
	counted := []string{"1", "2", "3", "4", "5"}

	if err := l.Update(t.Context(), func(f *ledger.Feed) error { f.Unfinished = &ledger.Unfinished{Run: "r1"}; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.Forget(t.Context()); err == nil || len(m.keys("")) != len(whole) {
		t.Fatalf("an unfinished run is forgotten: %v", err)
	}
	if err := l.Update(t.Context(), func(f *ledger.Feed) error { f.Unfinished = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	release(t, l)

	// Killed after each removal in turn.
	for {
		s := &process{memory: m}
		m.die("_fhirkiln/feeds/members.lock")
		l := acquire(t, lockable{s})
		r, err := l.OpenRun(t.Context(), "r1")
		if err != nil {
			t.Fatal(err)
		}
		seen, err := all(r.Entries(t.Context()))
		if err != nil || len(seen) > len(counted) || !slices.Equal(seen, counted[:len(seen)]) {
			t.Fatalf("there are %v of %v, %v", seen, counted, err)
		}
		if len(seen) == 0 && len(counted) > 0 && len(m.keys(folder)) > 2 {
			t.Errorf("left without a first entry: %v", m.keys(folder))
		}
		counted = seen
		removals := 0
		s.before(func(_ context.Context, call, _ string) error {
			if removals++; call == "remove" && removals > 5 {
				return errOutage
			}
			return nil
		})
		err = r.Forget(t.Context())
		s.before(nil)
		if after, rerr := all(ledger.ReadRun(t.Context(), m, "r1")); rerr != nil || len(after) > len(seen) || !slices.Equal(after, seen[:len(after)]) {
			t.Fatalf("then there are %v of %v, %v", after, seen, rerr)
		}
		if err == nil {
			if err := r.Forget(t.Context()); err != nil {
				t.Error(err)
			}
			if err := r.Append(t.Context(), json.RawMessage("7")); err == nil {
				t.Error("what was forgotten can be added to")
			}
			if _, err := l.OpenRun(t.Context(), "r1"); err != nil {
				t.Error(err)
			}
			release(t, l)
			break
		}
		if err != errOutage {
			t.Fatal(err)
		}
		release(t, l)
	}
	if left := m.keys(folder); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	// An old holder's write comes to nothing even now.
	_ = old.Append(t.Context(), json.RawMessage("666"))
	wantEntries(t, ledger.ReadRun(t.Context(), m, "r1"))
}

// A holder that lost its lease must not remove what the next one works with.
func TestForgetIsNotForOldHolders(t *testing.T) {
	t.Parallel()
	m := newMemory()
	r := open(t, successor(t, m))
	appendAll(t, r, "1", "2")
	next := open(t, successor(t, m))
	appendAll(t, next, "3")
	if err := r.Forget(t.Context()); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("Forget: %v", err)
	}
	wantEntries(t, ledger.ReadRun(t.Context(), m, "r1"), "1", "2", "3")
}

func TestDamagedEntries(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ key, content string }{
		"an opening cut":          {folder + "000001-000001.json", `{"generation`},
		"an opening not JSON":     {folder + "000001-000001.json", `[]`},
		"an opening of another":   {folder + "000001-000001.json", `{"generation":2,"accepted":{}}`},
		"an entry cut":            {folder + "000001-000002.json", `{`},
		"an entry that is empty":  {folder + "000001-000003.json", ``},
		"an entry, and one above": {folder + "000001-000003.json", `1 2`},
	} {
		m := newMemory()
		l := successor(t, m)
		appendAll(t, open(t, l), "1", "2")
		release(t, l)
		if err := m.Put(t.Context(), test.key, []byte(test.content)); err != nil {
			t.Fatal(err)
		}
		r, err := successor(t, m).OpenRun(t.Context(), "r1")
		if err == nil {
			_, err = all(r.Entries(t.Context()))
		}
		var damaged *ledger.DamagedError
		if !errors.As(err, &damaged) || damaged.Key != test.key || damaged.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := all(ledger.ReadRun(t.Context(), m, "r1")); !errors.As(err, &damaged) {
			t.Errorf("%s: ReadRun: %v", name, err)
		}
	}
}

func TestForeignFilesAreNoEntries(t *testing.T) {
	t.Parallel()
	m := newMemory()
	l := successor(t, m)
	appendAll(t, open(t, l), "1")
	for _, name := range []string{"1-3.json", "000001-000004.json.bak", "000001-.json", "-000001-000005.json", "000001-000000.json", "x", "000009-000007.json/x"} {
		if err := m.Put(t.Context(), folder+name, []byte("666")); err != nil {
			t.Fatal(err)
		}
	}
	// Nor does what a generation wrote that is not opened.
	if err := m.Put(t.Context(), folder+"000009-000007.json", []byte("666")); err != nil {
		t.Fatal(err)
	}
	wantEntries(t, ledger.ReadRun(t.Context(), m, "r1"), "1")
	if _, err := l.OpenRun(t.Context(), "../x"); err == nil {
		t.Error("a run may be called ../x")
	}
	if _, err := all(ledger.ReadRun(t.Context(), m, "../x")); err == nil {
		t.Error("a run may be called ../x")
	}
}

// The feed's object was put back from a backup, so that its generation is behind.
func TestAFeedOlderThanItsRuns(t *testing.T) {
	t.Parallel()
	m := newMemory()
	for range 3 {
		open(t, successor(t, m))
	}
	if err := m.Remove(t.Context(), feedKey); err != nil {
		t.Fatal(err)
	}
	_, err := successor(t, m).OpenRun(t.Context(), "r1")
	if err == nil || errors.Is(err, ledger.ErrLost) || !strings.Contains(err.Error(), "the run has entries of generation 3, but the feed members is at generation 1") {
		t.Error(err)
	}
}

// Under a lease that is lost while the store hangs, nothing is said to be appended.
func TestAppendDuringTheLoss(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		r := open(t, l)
		s.before(func(ctx context.Context, call, _ string) error {
			if call == "put" {
				<-after(2 * time.Minute) // and ctx is not looked at
				return nil
			}
			return errOutage
		})
		if err := r.Append(l.Context(), json.RawMessage("1")); !errors.Is(err, ledger.ErrLost) {
			t.Error(err)
		}
		if err := r.Append(l.Context(), json.RawMessage("2")); !errors.Is(err, ledger.ErrLost) {
			t.Error(err)
		}
		release(t, l)
	})
}
