package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
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

// A process that was stopped for longer than a lease lasts asks before it writes anything:
// otherwise its entry would be left behind in a run that is over.
func TestAppendAfterAStop(t *testing.T) {
	in(t, func(t *testing.T) {
		m := newMemory()
		old := acquire(t, lockable{&process{memory: m}})
		r := open(t, old)
		old.Stop(ttl)
		if err := r.Append(old.Context(), json.RawMessage("1")); err != nil {
			t.Errorf("nobody else has it: %v", err)
		}
		successor(t, m)
		before := m.keys("")
		old.Stop(ttl)
		if err := r.Append(old.Context(), json.RawMessage("2")); !errors.Is(err, ledger.ErrLost) {
			t.Error(err)
		}
		if diff := cmp.Diff(before, m.keys("")); diff != "" {
			t.Errorf("the old holder has left something (-before +after):\n%s", diff)
		}
		release(t, old)
	})
}

// If the lease is lost while the store hangs, Append must not report success.
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
