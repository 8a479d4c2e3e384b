package ledger_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

const ttl = time.Minute // the default

// in runs a test in a bubble with a clock of its own.
func in(t *testing.T, f func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, f)
}

func TestOneOfFifty(t *testing.T) {
	t.Parallel()
	dir, err := sink.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	m := newMemory()
	race := func(t *testing.T, s ledger.Store, longest time.Duration) {
		for round := range 3 {
			leases := make([]*ledger.Lease, 50)
			errs := make([]error, len(leases))
			var all sync.WaitGroup
			began := time.Now()
			for i := range leases {
				all.Go(func() { leases[i], errs[i] = ledger.Acquire(t.Context(), s, options()) })
			}
			all.Wait()
			if took := time.Since(began); took > longest {
				t.Errorf("it took %v", took)
			}
			var winner *ledger.Lease
			for _, l := range leases {
				if l != nil && winner != nil {
					t.Error("two have the lease")
				}
				if l != nil {
					winner = l
				}
			}
			if winner == nil {
				t.Fatal("nobody has the lease: ", errs[0])
			}
			for i, err := range errs {
				if leases[i] == nil {
					wantHeld(t, err, winner)
				}
			}
			if g := winner.Generation(); g != int64(round+1) {
				t.Errorf("the generation is %d in round %d", g, round)
			}
			if err := winner.Context().Err(); err != nil {
				t.Error(err)
			}
			release(t, winner)
		}
	}
	t.Run("disk", func(t *testing.T) { t.Parallel(); race(t, dir, time.Hour) })
	t.Run("locks", func(t *testing.T) {
		in(t, func(t *testing.T) { race(t, lockable{&process{memory: newMemory()}}, time.Second) })
	})
	t.Run("no locks", func(t *testing.T) { in(t, func(t *testing.T) { race(t, &process{memory: m}, ttl/3+ttl/20) }) })
}

func TestALivingHolderIsNoticed(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		defer release(t, l)
		for _, wait := range []time.Duration{0, 19 * time.Second, 5 * time.Minute} {
			<-after(wait)
			began := time.Now()
			_, err := ledger.Acquire(t.Context(), s, options())
			wantHeld(t, err, l)
			if took := time.Since(began); took > ttl/3+ttl/20 {
				t.Errorf("it took %v", took)
			}
		}
		if s.again {
			t.Error("a content was written twice")
		}
	})
}

// Two want a free feed: who comes second knows at once that the first is alive.
func TestTheSecondIsTold(t *testing.T) {
	in(t, func(t *testing.T) {
		m := newMemory()
		second := &process{memory: m}
		var first *ledger.Lease
		second.before(func(_ context.Context, call, _ string) error {
			if call == "swap" {
				first = acquire(t, &process{memory: m})
			}
			return nil
		})
		began := time.Now()
		_, err := ledger.Acquire(t.Context(), second, options())
		wantHeld(t, err, first)
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		release(t, first)
	})
}

func TestADeadHolderIsReplaced(t *testing.T) {
	in(t, func(t *testing.T) {
		m := newMemory()
		dead := &process{memory: m}
		old := acquire(t, dead)
		<-after(30 * time.Second) // it was renewed once
		dead.before(away)
		o := options()
		o.TTL = 10 * time.Second // the longer one counts
		began := time.Now()
		l, err := ledger.Acquire(t.Context(), &process{memory: m}, o)
		if err != nil {
			t.Fatal(err)
		}
		defer release(t, l)
		if took := time.Since(began); took != ttl {
			t.Errorf("it took %v", took)
		}
		if l.Generation() != old.Generation()+1 {
			t.Errorf("generation %d after %d", l.Generation(), old.Generation())
		}
		if err := context.Cause(old.Context()); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the old holder goes on: %v", err)
		}

		dead.before(nil)
		if err := old.Update(t.Context(), nothing); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the old holder's Update: %v", err)
		}
		release(t, old)
		if l.Update(t.Context(), nothing) != nil {
			t.Error("the old holder has touched the lease when it let go")
		}
	})
}

// Without a lock, the old holder stops before another begins, however the store fails it.
func TestTheHolderGivesUpFirst(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]fault{
		"fails": away,
		"hangs": func(ctx context.Context, _, _ string) error { <-ctx.Done(); return context.Cause(ctx) },
		"hangs, whatever ctx says": func(ctx context.Context, _, _ string) error {
			<-after(time.Hour)
			return errOutage
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				m := newMemory()
				old := &process{memory: m}
				l := acquire(t, old)
				<-after(50 * time.Second)
				old.before(fail)
				began := time.Now()
				next := acquire(t, &process{memory: m})
				<-l.Context().Done()
				if time.Since(began) > ttl {
					t.Error("the old holder went on")
				}
				if err := context.Cause(l.Context()); !errors.Is(err, ledger.ErrLost) || !strings.Contains(err.Error(), "the feed members: the lease is lost: it could not be renewed for 1m0s") {
					t.Errorf("the cause is %v", err)
				}
				release(t, l)
				release(t, next)
			})
		})
	}
}

func TestAnOutageIsSurvived(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		for range 3 {
			<-after(time.Minute)
			s.before(away)
			<-after(35 * time.Second) // the renewal is 20 s old at the most
			if err := l.Update(t.Context(), nothing); !errors.Is(err, errOutage) {
				t.Errorf("Update: %v", err)
			}
			s.before(nil)
		}
		<-after(time.Hour)
		if err := l.Context().Err(); err != nil {
			t.Error(context.Cause(l.Context()))
		}
		release(t, l)
		release(t, acquire(t, s))
	})
}

// With a lock nobody else can have it, so that an outage does not end it.
func TestALockOutlastsOutages(t *testing.T) {
	in(t, func(t *testing.T) {
		s := lockable{&process{memory: newMemory()}}
		l := acquire(t, s)
		s.before(away)
		<-after(time.Hour)
		s.before(nil)
		if err := l.Update(l.Context(), nothing); err != nil {
			t.Error(err)
		}
		release(t, l)
	})
}

func TestALockTellsAtOnce(t *testing.T) {
	in(t, func(t *testing.T) {
		m := newMemory()
		old := acquire(t, lockable{&process{memory: m}})
		began := time.Now()
		_, err := ledger.Acquire(t.Context(), lockable{&process{memory: m}}, options())
		wantHeld(t, err, old)
		m.die("_fhirkiln/feeds/members.lock") // and leaves its lease
		l := acquire(t, lockable{&process{memory: m}})
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if l.Generation() != 2 {
			t.Errorf("generation %d", l.Generation())
		}
		// It was not dead after all.
		if err := old.Update(t.Context(), nothing); !errors.Is(err, ledger.ErrLost) || !strings.Contains(err.Error(), l.Feed().Lease.Holder+" has it since 2000-01-01T00:00:") {
			t.Errorf("the old holder's Update: %v", err)
		}
		if err := context.Cause(old.Context()); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the old holder goes on: %v", err)
		}
		release(t, old)
		release(t, l)
	})
}

// A holder that was stopped finds out by its next renewal.
func TestAnOldHolderWakes(t *testing.T) {
	in(t, func(t *testing.T) {
		m := newMemory()
		old := acquire(t, lockable{&process{memory: m}})
		m.die("_fhirkiln/feeds/members.lock")
		l := acquire(t, lockable{&process{memory: m}})
		<-old.Context().Done()
		if err := context.Cause(old.Context()); !errors.Is(err, ledger.ErrLost) {
			t.Error(err)
		}
		if _, err := old.OpenRun(t.Context(), "r1"); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("OpenRun: %v", err)
		}
		release(t, old)
		release(t, l)
	})
}

// Another has taken the lease, and has ended already.
func TestAnOldHolderWakesLate(t *testing.T) {
	in(t, func(t *testing.T) {
		m := newMemory()
		old := acquire(t, lockable{&process{memory: m}})
		m.die("_fhirkiln/feeds/members.lock")
		release(t, acquire(t, lockable{&process{memory: m}}))
		err := old.Update(t.Context(), func(f *ledger.Feed) error { f.Ended = []string{"r1"}; return nil })
		if !errors.Is(err, ledger.ErrLost) || !strings.Contains(err.Error(), "another process took it in generation 2, and has ended") {
			t.Errorf("Update: %v", err)
		}
		release(t, old)
		if f, err := ledger.Read(t.Context(), m, "members"); err != nil || f.Generation != 2 || f.Lease != nil || f.Ended != nil {
			t.Errorf("the feed is %+v, %v", f, err)
		}
	})
}

// Who has the lock may not yet have written who it is.
func TestTheHolderIsNamed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		stale bool // a dead process's lease is there
		slow  time.Duration
	}{
		{"at once", false, 0},
		{"soon", false, 80 * time.Millisecond},
		{"late", false, 400 * time.Millisecond},
		{"soon, after a dead one", true, 80 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				m := newMemory()
				if test.stale {
					dead := acquire(t, lockable{&process{memory: m}})
					m.die("_fhirkiln/feeds/members.lock")
					defer release(t, dead)
				}
				slow := &process{memory: m}
				slow.before(func(_ context.Context, call, _ string) error {
					if call == "swap" {
						<-after(test.slow)
					}
					return nil
				})
				var l *ledger.Lease
				var taking sync.WaitGroup
				taking.Go(func() { l = acquire(t, lockable{slow}) })
				synctest.Wait()
				_, err := ledger.Acquire(t.Context(), lockable{&process{memory: m}}, options())
				taking.Wait()
				slow.before(nil)
				wantHeld(t, err, l)
				release(t, l)
			})
		})
	}
	t.Run("never", func(t *testing.T) {
		in(t, func(t *testing.T) {
			s := lockable{&process{memory: newMemory()}}
			if _, err := s.Lock(t.Context(), "_fhirkiln/feeds/members.lock"); err != nil {
				t.Fatal(err)
			}
			_, err := ledger.Acquire(t.Context(), s, options())
			if held := (*ledger.HeldError)(nil); !errors.As(err, &held) || held.Holder != "" || err.Error() != "the feed members is being worked at by another process" {
				t.Error(err)
			}
		})
	})
}

func TestReleased(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		ctx := l.Context()
		release(t, l)
		release(t, l)
		if ctx.Err() == nil {
			t.Error("the context goes on")
		}
		if err := l.Update(t.Context(), nothing); err == nil || errors.Is(err, ledger.ErrLost) {
			t.Errorf("Update: %v", err)
		}
		if f, err := ledger.Read(t.Context(), s, "members"); err != nil || f.Lease != nil || f.Generation != 1 {
			t.Errorf("the feed is %+v, %v", f, err)
		}
		began := time.Now()
		l = acquire(t, s)
		if l.Generation() != 2 || time.Since(began) != 0 {
			t.Errorf("generation %d after %v", l.Generation(), time.Since(began))
		}
		s.before(func(_ context.Context, call, _ string) error {
			if call == "swap" {
				return errOutage
			}
			return nil
		})
		for range 2 {
			if err := l.Release(t.Context()); !errors.Is(err, errOutage) {
				t.Errorf("Release: %v", err)
			}
		}
	})
}

func TestAWaiterTakesWhatIsReleased(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		time.AfterFunc(10*time.Second, func() { release(t, l) })
		began := time.Now()
		release(t, acquire(t, s))
		if took := time.Since(began); took < 10*time.Second || took > 14*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// The caller's end is not the lease's: the run winds down under it.
func TestTheCallersEnd(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		ctx, cancel := context.WithCancelCause(t.Context())
		l, err := ledger.Acquire(ctx, s, options())
		if err != nil {
			t.Fatal(err)
		}
		enough := errors.New("the user has had enough")
		cancel(enough)
		if err := context.Cause(l.Context()); err != enough {
			t.Errorf("the cause is %v", err)
		}
		<-after(10 * time.Minute)
		if err := l.Update(context.WithoutCancel(ctx), nothing); err != nil {
			t.Error(err)
		}
		if err := l.Update(ctx, nothing); err != enough {
			t.Errorf("Update: %v", err)
		}
		_, err = ledger.Acquire(t.Context(), s, options())
		wantHeld(t, err, l)
		release(t, l)
		if _, err := ledger.Acquire(ctx, s, options()); err != enough {
			t.Errorf("Acquire: %v", err)
		}
	})
}

func TestUpdate(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		defer release(t, l)
		before := l.Feed()
		mine := &ledger.Unfinished{Run: "r1", Attempts: 1}
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

// Whatever becomes of the answers, every update is made once.
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

// When only the answer is lost, there is no error. When it cannot be found out, the next
// update sees what came of it.
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

// A write comes through long after its answer was given up.
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

// lateStore does a swap after a delay, whoever still waits for it.
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

func TestAcquireAfterALostAnswer(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		s.after(func(_ context.Context, call, _ string) error {
			if call == "swap" {
				return errOutage
			}
			return nil
		})
		l := acquire(t, s)
		if l.Generation() != 1 {
			t.Errorf("generation %d", l.Generation())
		}
		s.after(nil)
		release(t, l)
	})
}

func TestAcquireRefuses(t *testing.T) {
	t.Parallel()
	m := newMemory()
	release(t, acquire(t, m))
	for name, test := range map[string]struct {
		change func(*ledger.Options)
		want   string
	}{
		"another source":  {func(o *ledger.Options) { o.Source = "lynx" }, `source "bison" and purpose "payer_to_payer", not of source "lynx"`},
		"another purpose": {func(o *ledger.Options) { o.Purpose = "" }, `not of source "bison" and purpose ""`},
		"no feed":         {func(o *ledger.Options) { o.Feed = "" }, `"" is no feed's name`},
		"a bad feed":      {func(o *ledger.Options) { o.Feed = "../x" }, `"../x" is no feed's name`},
		"a bad source":    {func(o *ledger.Options) { o.Source = "Bison" }, `"Bison" is no source's name`},
		"not UTF-8":       {func(o *ledger.Options) { o.Purpose = "\xff" }, "is not UTF-8"},
	} {
		o := options()
		test.change(&o)
		l, err := ledger.Acquire(t.Context(), m, o)
		if l != nil || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if other := (*ledger.OtherFeedError)(nil); strings.HasPrefix(name, "another") != errors.As(err, &other) {
			t.Errorf("%s: %T", name, err)
		}
	}
	release(t, acquire(t, m)) // no lock and no lease is left
}

func TestTheObjectVanishes(t *testing.T) {
	in(t, func(t *testing.T) {
		m := newMemory()
		l := acquire(t, m)
		_ = m.Remove(t.Context(), feedKey)
		<-l.Context().Done()
		if err := context.Cause(l.Context()); !errors.Is(err, ledger.ErrLost) || !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		release(t, l)
	})
}
