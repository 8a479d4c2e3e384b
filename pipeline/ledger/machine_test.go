package ledger_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirkiln/pipeline/ledger"
)

// TestMachine lets processes take a run over from each other at any time, while those that lost
// it go on, and writes land late or never. What counts is compared with a model that only knows
// what was accepted when.
func TestMachine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &machine{memory: newMemory()}
		defer w.end(t)
		w.Takeover(t)
		t.Repeat(rapid.StateMachineActions(w))
	})
}

type machine struct {
	memory  *memory
	holders []*holder // the last one has the lease
	entries int

	// The model.
	decider int64      // the latest generation whose opening is there
	counted []numbered // in order
}

type numbered struct {
	generation, number int64
	content            string
}

type holder struct {
	*process
	lease  *ledger.Lease
	run    *ledger.Run // nil: not opened
	number int64       // of its last entry
	seen   []numbered  // that counted when it first looked
	looked bool
	lost   bool // and it knows

	// One call may hang in a put.
	hangs   bool
	land    chan bool // whether the put is done
	done    chan struct{}
	opening bool
	late    numbered
}

var errKilled = errors.New("the process is gone")

func (w *machine) Takeover(t *rapid.T) {
	w.memory.die("_fhirkiln/feeds/members.lock")
	h := &holder{process: &process{memory: w.memory}, land: make(chan bool), number: 1}
	l, err := ledger.Acquire(context.Background(), lockable{h.process}, options())
	if err != nil {
		t.Fatal(err)
	}
	h.lease = l
	w.holders = append(w.holders, h)
	if l.Generation() != int64(len(w.holders)) {
		t.Fatalf("generation %d after %d takeovers", l.Generation(), len(w.holders)-1)
	}
}

// one draws a free holder: the current one, or an earlier one.
func (w *machine) one(t *rapid.T, ok func(*holder) bool) *holder {
	return w.any(t, func(h *holder) bool { return !h.hangs && ok(h) })
}

func (w *machine) any(t *rapid.T, ok func(*holder) bool) *holder {
	var free []*holder
	for _, h := range w.holders {
		if ok(h) {
			free = append(free, h)
		}
	}
	if len(free) == 0 {
		t.Skip("there is none")
	}
	return rapid.SampledFrom(free).Draw(t, "holder")
}

func (w *machine) Open(t *rapid.T) {
	h := w.one(t, func(h *holder) bool { return h.run == nil })
	run, err := h.lease.OpenRun(context.Background(), "r1")
	if !w.look(h) {
		if !errors.Is(err, ledger.ErrLost) {
			t.Fatalf("generation %d opens the run behind the times: %v", h.lease.Generation(), err)
		}
		h.lost = true
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	h.run = run
	w.opened(h)
	w.compare(t, run.Entries(context.Background()), h.seen)
}

// look returns false if the holder is refused because a later one has opened the run.
func (w *machine) look(h *holder) bool {
	if h.lost || !h.looked && w.decider >= h.lease.Generation() {
		return false
	}
	if !h.looked {
		h.looked, h.seen = true, slices.Clone(w.counted)
	}
	return true
}

// opened tells the model that an opening has landed.
func (w *machine) opened(h *holder) {
	if g := h.lease.Generation(); g > w.decider {
		w.decider, w.counted = g, slices.Clone(h.seen)
	}
}

// appended tells the model that an entry has landed.
func (w *machine) appended(e numbered) {
	if e.generation == w.decider {
		w.counted = append(w.counted, e)
		slices.SortFunc(w.counted, func(a, b numbered) int {
			return cmp.Or(cmp.Compare(a.generation, b.generation), cmp.Compare(a.number, b.number))
		})
	}
}

func (w *machine) entry(h *holder) numbered {
	w.entries++
	h.number++
	return numbered{h.lease.Generation(), h.number, strconv.Itoa(w.entries)}
}

// Append also comes while another one hangs, which then has the lower number.
func (w *machine) Append(t *rapid.T) {
	h := w.any(t, func(h *holder) bool { return (!h.hangs || !h.opening) && h.run != nil && !h.lost })
	e := w.entry(h)
	if err := h.run.Append(h.lease.Context(), json.RawMessage(e.content)); err != nil {
		t.Fatal(err)
	}
	w.appended(e)
}

func (w *machine) AppendAfterTheLoss(t *rapid.T) {
	h := w.one(t, func(h *holder) bool { return h.run != nil && h.lost })
	if err := h.run.Append(context.Background(), json.RawMessage("666")); !errors.Is(err, ledger.ErrLost) {
		t.Fatal(err)
	}
}

// hang starts a call whose put is under way when it returns.
func (h *holder) hang(call func()) {
	arrived := make(chan struct{})
	h.before(func(_ context.Context, call, _ string) error {
		if call != "put" {
			return nil
		}
		close(arrived)
		if !<-h.land {
			return errKilled
		}
		return nil
	})
	h.hangs, h.done = true, make(chan struct{})
	go func() {
		defer close(h.done)
		call()
	}()
	<-arrived
	h.before(nil)
}

func (w *machine) HangInOpen(t *rapid.T) {
	h := w.one(t, func(h *holder) bool { return h.run == nil })
	if !w.look(h) {
		t.Skip("it is refused")
	}
	h.opening = true
	h.hang(func() { h.run, _ = h.lease.OpenRun(context.Background(), "r1") })
}

func (w *machine) HangInAppend(t *rapid.T) {
	h := w.one(t, func(h *holder) bool { return h.run != nil && !h.lost })
	h.late, h.opening = w.entry(h), false
	h.hang(func() { _ = h.run.Append(context.Background(), json.RawMessage(h.late.content)) })
}

func (w *machine) Land(t *rapid.T) {
	h := w.any(t, func(h *holder) bool { return h.hangs })
	lands := rapid.Bool().Draw(t, "lands")
	h.wake(lands)
	switch {
	case !lands:
	case h.opening:
		w.opened(h)
	default:
		w.appended(h.late)
	}
}

func (h *holder) wake(lands bool) {
	h.land <- lands
	<-h.done
	h.hangs = false
}

// Notice lets a holder write the feed's object, from which it learns whether it still may.
func (w *machine) Notice(t *rapid.T) {
	h := w.one(t, func(*holder) bool { return true })
	err := h.lease.Update(context.Background(), nothing)
	if has := h == w.holders[len(w.holders)-1]; has != (err == nil) || !has && !errors.Is(err, ledger.ErrLost) {
		t.Fatalf("generation %d of %d: %v", h.lease.Generation(), len(w.holders), err)
	}
	h.lost = err != nil
}

// Check runs after each of the other actions.
func (w *machine) Check(t *rapid.T) {
	w.compare(t, ledger.ReadRun(context.Background(), w.memory, "r1"), w.counted)
}

func (w *machine) compare(t *rapid.T, entries func(func(json.RawMessage, error) bool), want []numbered) {
	var contents []string
	for _, e := range want {
		contents = append(contents, e.content)
	}
	found, err := all(entries)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(contents, found); diff != "" {
		t.Fatalf("entries (-want +got):\n%s", diff)
	}
}

func (w *machine) end(t *rapid.T) {
	for _, h := range w.holders {
		if h.hangs {
			h.wake(false)
		}
		if err := h.lease.Release(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
