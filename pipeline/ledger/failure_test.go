package ledger_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/pipeline/ledger"
)

// failOnce takes the lease and lets go of it with a failure.
func failOnce(t *testing.T, s ledger.Store, why ledger.Failure) {
	t.Helper()
	l := acquire(t, s)
	l.Fail(why)
	release(t, l)
}

func lastFailure(t *testing.T, s ledger.Store) *ledger.Failure {
	t.Helper()
	f, err := ledger.Read(t.Context(), s, "members")
	if err != nil {
		t.Fatal(err)
	}
	return f.LastFailure
}

func TestFailuresInARow(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &process{memory: newMemory()}
		why := ledger.Failure{At: time.Now().UTC(), Run: "r1", Error: "denied"}
		failOnce(t, s, why)
		failOnce(t, s, why)
		release(t, acquire(t, s)) // a command that is no run, such as gc
		lost := func(_ context.Context, call, _ string) error {
			if call == "swap" {
				s.after(nil)
				return errOutage
			}
			return nil
		}
		l := acquire(t, s)
		l.Fail(why)
		s.after(lost) // the answer to the write, which must not be counted twice
		release(t, l)
		want := why
		want.Failures = 3
		if diff := cmp.Diff(&want, lastFailure(t, s)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		failOnce(t, s, ledger.Failure{Run: "r2", Error: strings.Repeat("ä", 1500) + "\xff"})
		if got := lastFailure(t, s); got.Run != "r2" || got.Failures != 4 || got.Error != strings.Repeat("ä", 1000)+"…" {
			t.Errorf("got %+v", got)
		}
	})
}

// A process that has lost the lease records nothing.
func TestAFailureWithoutALease(t *testing.T) {
	in(t, func(t *testing.T) {
		m := newMemory()
		old := acquire(t, lockable{&process{memory: m}})
		m.die("_fhirkiln/feeds/members.lock")
		l := acquire(t, lockable{&process{memory: m}})
		old.Fail(ledger.Failure{Error: "too late"})
		release(t, old)
		release(t, l)
		if got := lastFailure(t, m); got != nil {
			t.Errorf("got %+v", got)
		}
	})
}
