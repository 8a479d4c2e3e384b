package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

func TestUpdate(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		defer release(t, l)
		before := l.Feed()
		mine := &ledger.Unfinished{Run: "r1", Processes: 1}
		err := l.Update(t.Context(), func(f *ledger.Feed) error {
			f.Unfinished = mine
			f.Version, f.Name, f.Source, f.Purpose = 9, "x", "y", "z"
			f.Generation, f.Sequence, f.Lease = 5, 0, nil
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		mine.Run = "r2" // is ours no more
		f := l.Feed()
		if f.Unfinished.Run != "r1" || f.Version != 1 || f.Name != "members" || f.Source != "bison" || f.Purpose != "payer_to_payer" ||
			f.Generation != 1 || f.Sequence != before.Sequence+1 || f.Lease.Holder != before.Lease.Holder {
			t.Errorf("the feed is %+v", f)
		}
		f.Unfinished.Run = "r3" // a copy's
		if there, err := ledger.Read(t.Context(), s, "members"); err != nil || there.Unfinished.Run != "r1" || l.Feed().Unfinished.Run != "r1" {
			t.Errorf("there is %+v, %v", there, err)
		}

		enough := errors.New("enough")
		if err := l.Update(t.Context(), func(f *ledger.Feed) error { f.Unfinished.Run = "r4"; return enough }); err != enough {
			t.Errorf("Update: %v", err)
		}
		if err := l.Update(t.Context(), func(f *ledger.Feed) error { f.Unfinished.Run = "../x"; return nil }); err == nil {
			t.Error("a run may be called ../x")
		}
		if l.Feed().Unfinished.Run != "r1" {
			t.Error("a failed update has changed something")
		}
	})
}

func TestLostAnswers(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		n := 0
		lose := func(_ context.Context, call, _ string) error {
			if n++; call == "swap" && n%3 != 0 || call == "load" && n%5 == 0 {
				return errOutage
			}
			return nil
		}
		s.after(lose)
		l := acquire(t, s)
		want := 0
		for range 200 {
			<-after(7 * time.Second)
			want++
			for {
				err := l.Update(l.Context(), func(f *ledger.Feed) error {
					if len(f.Ended) < want { // it may have been made
						f.Ended = append(f.Ended, "r1")
					}
					return nil
				})
				if err == nil {
					break
				}
				if !errors.Is(err, errOutage) {
					t.Fatal(err)
				}
			}
		}
		if f := l.Feed(); len(f.Ended) != want {
			t.Errorf("%d updates of %d", len(f.Ended), want)
		}
		s.after(nil)
		release(t, l)
		if s.again {
			t.Error("a content was written twice")
		}
	})
}

func TestAnUpdateInDoubt(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		defer release(t, l)
		lose := func(also string) fault {
			return func(_ context.Context, call, _ string) error {
				if call == "swap" || call == also {
					return errOutage
				}
				return nil
			}
		}
		add := func(f *ledger.Feed) error { f.Ended = append(f.Ended, "r1"); return nil }
		s.after(lose(""))
		if err := l.Update(t.Context(), add); err != nil {
			t.Errorf("the answer alone was lost: %v", err)
		}
		s.after(lose("load"))
		if err := l.Update(t.Context(), add); !errors.Is(err, errOutage) {
			t.Errorf("Update: %v", err)
		}
		s.after(nil)
		var seen []int
		if err := l.Update(t.Context(), func(f *ledger.Feed) error { seen = append(seen, len(f.Ended)); return nil }); err != nil {
			t.Error(err)
		}
		if len(seen) != 1 || seen[0] != 2 {
			t.Errorf("the next update sees %v", seen)
		}
		s.before(lose(""))
		if err := l.Update(t.Context(), add); !errors.Is(err, errOutage) {
			t.Errorf("Update: %v", err)
		}
		s.before(nil)
		if n := len(l.Feed().Ended); n != 2 {
			t.Errorf("%d after an update that failed", n)
		}
	})
}

func TestLateWrites(t *testing.T) {
	in(t, func(t *testing.T) {
		m := newMemory()
		late := &lateStore{process: &process{memory: m}}
		l := acquire(t, late)
		for n := 1; n <= 20; n++ {
			late.delay = []time.Duration{2 * time.Second, 9 * time.Second}[n%2]
			ctx, cancel := context.WithTimeout(l.Context(), time.Second)
			err := l.Update(ctx, func(f *ledger.Feed) error { f.Ended = append(f.Ended, "late"); return nil })
			cancel()
			if err == nil {
				t.Error("there was an answer")
			}
			<-after(time.Duration(n) * time.Second)
			seen := 0
			err = l.Update(l.Context(), func(f *ledger.Feed) error {
				seen = len(f.Ended)
				f.Ended = append(f.Ended, "good")
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			<-after(10 * time.Second)
			f, err := ledger.Read(t.Context(), m, "members")
			if err != nil || len(f.Ended) != seen+1 || f.Sequence != l.Feed().Sequence {
				t.Fatalf("there are %v, %v after %d", f.Ended, err, seen)
			}
		}
		release(t, l)
	})
}

type lateStore struct {
	*process
	delay time.Duration // of those under a deadline
}

func (s *lateStore) Swap(ctx context.Context, key string, content []byte, old sink.Version) (sink.Version, error) {
	if d, ok := ctx.Deadline(); !ok || time.Until(d) > time.Second {
		return s.memory.Swap(ctx, key, content, old)
	}
	time.AfterFunc(s.delay, func() { _, _ = s.memory.Swap(context.Background(), key, content, old) })
	<-ctx.Done()
	return "", context.Cause(ctx)
}

// While an update is under way, the lease is not renewed, so one silent connection must not hold
// it up.
func TestASilentUpdateIsTriedAgain(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		defer release(t, l)
		fell := false
		s.before(func(ctx context.Context, call, _ string) error {
			if call == "swap" && !fell {
				fell = true
				<-ctx.Done()
				return errors.New("i/o timeout")
			}
			return nil
		})
		if err := l.Update(l.Context(), nothing); err != nil {
			t.Errorf("one silent connection has cost the lease: %v", err)
		}
	})
}

// A write may come through even if its answer does not: the change is made once.
func TestASilentAnswerMakesAChangeOnce(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		defer release(t, l)
		fell := false
		s.after(func(ctx context.Context, call, _ string) error {
			if call == "swap" && !fell {
				fell = true
				<-ctx.Done()
				return errors.New("i/o timeout")
			}
			return nil
		})
		err := l.Update(l.Context(), func(f *ledger.Feed) error {
			f.Ended = append(f.Ended, "r1")
			return nil
		})
		if got := l.Feed().Ended; err != nil || len(got) != 1 {
			t.Errorf("ended are %q, %v", got, err)
		}
		if there, err := ledger.Read(t.Context(), s, "members"); err != nil || len(there.Ended) != 1 {
			t.Errorf("there are %q, %v", there.Ended, err)
		}
	})
}

// An attempt runs out of time before the lease is lost, and its answer comes afterwards.
func TestAnUpdateThatOutlastsTheLease(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		s.before(func(ctx context.Context, _, _ string) error {
			<-ctx.Done()
			<-after(2 * ttl)
			return context.Cause(ctx)
		})
		if err := l.Update(t.Context(), nothing); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("Update: %v", err)
		}
		s.before(nil)
		release(t, l)
	})
}
