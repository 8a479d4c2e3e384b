package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"fhirkiln/pipeline/ledger"
)

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
