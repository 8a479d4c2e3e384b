package ledger_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

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

// A process that is told to end while it takes the lease checks whether it got it, but does not
// wait as long as a store is silent.
func TestTakingEndsInTime(t *testing.T) {
	in(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		s := &process{memory: newMemory()}
		silent := false
		s.before(func(ctx context.Context, call, _ string) error {
			if call == "swap" {
				silent = true
				cancel(why)
			}
			if silent {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		})
		began := time.Now()
		_, err := ledger.Acquire(ctx, s, options())
		if took := time.Since(began); !errors.Is(err, why) || took != 30*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
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
		if err := old.Update(t.Context(), nothing); !errors.Is(err, ledger.ErrLost) || !strings.Contains(err.Error(), l.Feed().Lease.Holder+" has held it since 2000-01-01T00:00:") {
			t.Errorf("the old holder's Update: %v", err)
		}
		if err := context.Cause(old.Context()); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the old holder goes on: %v", err)
		}
		release(t, old)
		release(t, l)
	})
}

// A process that does without the store's locks, such as one with a decorated store, is asked by
// its lease. Its lock is free even while it lives.
func TestALockDoesNotStealFromAHolderWithoutOne(t *testing.T) {
	in(t, func(t *testing.T) {
		m := newMemory()
		plain := &process{memory: m}
		old := acquire(t, plain)
		_, err := ledger.Acquire(t.Context(), lockable{&process{memory: m}}, options())
		wantHeld(t, err, old)
		if err := old.Update(t.Context(), nothing); err != nil {
			t.Errorf("the holder's Update: %v", err)
		}
		plain.before(func(context.Context, string, string) error { return errOutage }) // as good as dead
		began := time.Now()
		l := acquire(t, lockable{&process{memory: m}})
		if took := time.Since(began); took < time.Minute {
			t.Errorf("the lease was taken over after %v", took)
		}
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
		plain.before(func(context.Context, string, string) error { return nil })
		if err := old.Update(t.Context(), nothing); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the old holder's Update: %v", err)
		}
		release(t, old)
		release(t, l)
	})
}

// The process that has the lock may not have written its name yet.
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
			if held, ok := errors.AsType[*ledger.HeldError](err); !ok || held.Holder != "" || err.Error() != "another process is working on feed members" {
				t.Error(err)
			}
		})
	})
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
		"another source":  {func(o *ledger.Options) { o.Source = "lynx" }, `source "bison" and purpose "payer_to_payer", not source "lynx"`},
		"another purpose": {func(o *ledger.Options) { o.Purpose = "" }, `not source "bison" and purpose ""`},
		"no feed":         {func(o *ledger.Options) { o.Feed = "" }, `"" is not a feed name`},
		"a bad feed":      {func(o *ledger.Options) { o.Feed = "../x" }, `"../x" is not a feed name`},
		"a bad source":    {func(o *ledger.Options) { o.Source = "Bison" }, `"Bison" is not a source name`},
		"not UTF-8":       {func(o *ledger.Options) { o.Purpose = "\xff" }, "is not valid UTF-8"},
	} {
		o := options()
		test.change(&o)
		l, err := ledger.Acquire(t.Context(), m, o)
		if l != nil || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, other := errors.AsType[*ledger.OtherFeedError](err); strings.HasPrefix(name, "another") != other {
			t.Errorf("%s: %T", name, err)
		}
	}
	release(t, acquire(t, m)) // no lock and no lease is left
}
