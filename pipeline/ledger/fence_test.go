package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"fhirkiln/pipeline/ledger"
)

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
	if err == nil || errors.Is(err, ledger.ErrLost) || !strings.Contains(err.Error(), "the run has entries of generation 3, but feed members is at generation 1") {
		t.Error(err)
	}
}
