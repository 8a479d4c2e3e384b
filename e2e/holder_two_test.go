package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
)

// pairsOn is how often two runs of a feed are started together, by kind of place. In a bucket,
// the one that waits does so for a third of a lease.
var pairsOn = map[string]int{"disk": 50, "s3": 15}

// TestTwoAtOnce starts two runs of a feed together. One works, and the other says why it does
// not.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	for name, newPlace := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pairs := pairsOn[name]
			nights := smallNights(pairs)
			w := newNightsWorld(t, newPlace(t, longLease), nights, false, 1)
			for n := range nights {
				w.sky.night.Store(int32(n))
				w.pair(t)
				if t.Failed() {
					t.Fatalf("pair %d", n)
				}
			}
			w.check(t, len(nights)-1)
			if len(w.jobs) != pairs {
				t.Errorf("%d kick-offs for %d runs", len(w.jobs), pairs)
			}
		})
	}
}

func (w *crashWorld) pair(t *testing.T) {
	t.Helper()
	// The one that works is held up until the other has ended, or works as well.
	begun := len(w.jobs)
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	w.arm(func(r *http.Request) (before, after func()) {
		none := func() {}
		switch {
		case strings.Contains(r.URL.Path, "/$export/job/"):
			return func() { <-held }, none
		case strings.HasSuffix(r.URL.Path, "/$export"):
			return none, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				if len(w.jobs) > begun+1 {
					release()
				}
			}
		}
		return none, none
	})
	defer w.arm(nil)
	defer release()
	first, second := w.start(t), w.start(t)
	select {
	case <-first.ended:
	case <-second.ended:
	}
	release()
	works, waits := first, second
	if first.code() == 12 {
		works, waits = second, first
	}
	if works.code() != 0 || waits.code() != 12 {
		t.Errorf("who works is to end with 0, who waits with 12\nworks: %v\nwaits: %v", works, waits)
	}
	said := waits.stderr.String()
	if holder := fmt.Sprintf(" %d ", works.Process.Pid); !strings.Contains(said, "is working on feed ") ||
		!strings.Contains(said, holder) || !strings.Contains(said, " since 20") {
		t.Errorf("who was second does not say of process%sthat it works since when:\n%s", holder, said)
	}
}

// smallNights returns nights with two new patients each.
func smallNights(count int) []night {
	var nights []night
	var lines []string
	for n := range count {
		var fresh []string
		for p := range 2 {
			fresh = append(fresh, fmt.Sprintf(`{"resourceType":"Patient","id":"patient-%d-%d","meta":{"lastUpdated":"%s"}}`, n, p,
				firstNight.AddDate(0, 0, n).Add(-time.Hour).Format(time.RFC3339)))
		}
		lines = append(lines, fresh...)
		nights = append(nights, night{fresh: fresh, files: []bulktest.File{crashFile("Patient", lines)}})
	}
	return nights
}
