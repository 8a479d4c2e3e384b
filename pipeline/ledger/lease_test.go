package ledger_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

const ttl = time.Minute // the default

// in runs a test in a synctest bubble, with a clock of its own.
func in(t *testing.T, f func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, f)
}

// Without a lock, the old holder stops before another begins, however the store fails.
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
				if err := context.Cause(l.Context()); !errors.Is(err, ledger.ErrLost) || !errors.Is(err, ledger.ErrNotRenewed) || !strings.Contains(err.Error(), "feed members: the lease is lost: it could not be renewed for 1m0s") {
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

// One silent connection does not cost the lease if the store answers on others.
func TestASilentRenewalIsTriedAgain(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		s.before(func(ctx context.Context, _, _ string) error {
			s.before(nil)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		<-after(time.Hour)
		if err := context.Cause(l.Context()); err != nil {
			t.Error(err)
		}
		release(t, l)
	})
}

// If the store answers with an error, the lost lease's error says so.
func TestARefusedRenewal(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		l := acquire(t, s)
		refusal := &sink.Error{Doing: "writing", Err: errors.New("the token has expired"), Hint: "get another"}
		s.before(func(context.Context, string, string) error { return refusal })
		<-l.Context().Done()
		err := context.Cause(l.Context())
		if found, ok := errors.AsType[*sink.Error](err); !errors.Is(err, ledger.ErrNotRenewed) || !ok || found != refusal {
			t.Errorf("the cause is %v", err)
		}
		s.before(nil)
		release(t, l)
	})
}

// With a lock, nobody else can take the lease, so an outage does not end it.
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

// A holder that was stopped finds out at its next renewal.
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

// Another process has taken the lease and has already ended.
func TestAnOldHolderWakesLate(t *testing.T) {
	in(t, func(t *testing.T) {
		m := newMemory()
		old := acquire(t, lockable{&process{memory: m}})
		m.die("_fhirkiln/feeds/members.lock")
		release(t, acquire(t, lockable{&process{memory: m}}))
		err := old.Update(t.Context(), func(f *ledger.Feed) error { f.Ended = []string{"r1"}; return nil })
		if !errors.Is(err, ledger.ErrLost) || !strings.Contains(err.Error(), "another process took it in generation 2 and has ended") {
			t.Errorf("Update: %v", err)
		}
		release(t, old)
		if f, err := ledger.Read(t.Context(), m, "members"); err != nil || f.Generation != 2 || f.Lease != nil || f.Ended != nil {
			t.Errorf("the feed is %+v, %v", f, err)
		}
	})
}

// A released lease can be taken again at once.
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

// The lease outlives the caller's context: the run winds down under it.
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
