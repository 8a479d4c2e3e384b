package e2e

import (
	"testing"
)

// TestReaderWhileItPublishes repeatedly reads a feed's object and what it names while runs
// publish. Whatever it names exists and is whole.
func TestReaderWhileItPublishes(t *testing.T) {
	t.Parallel()
	for name, newPlace := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCrashWorld(t, newPlace(t, longLease), false, 1)
			looks, seen := 0, map[int]int{} // by number of runs
			for n := range w.nights {
				w.sky.night.Store(int32(n))
				p := w.start(t)
				for ended := false; !ended; {
					select {
					case <-p.ended:
						ended = true // look once more
					default:
					}
					runs := w.look(t)
					looks++
					seen[runs]++
				}
				if code := p.code(); code != 0 && code != 11 {
					t.Fatal(p)
				}
				w.check(t, n)
			}
			t.Logf("%d looks; by number of runs: %v", looks, seen)
		})
	}
}

// look reads everything that the feed names now, and returns how many runs it names.
func (w *crashWorld) look(t *testing.T) int {
	t.Helper()
	f := w.open(t)
	defer f.Close()
	feed := w.state(t, f)
	for _, key := range w.checkLive(t, f, feed) {
		if _, read := w.rows[key]; !read {
			w.rows[key] = rowsOf(t, f, key)
		}
	}
	return len(feed.Runs)
}
