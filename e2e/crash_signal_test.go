package e2e

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestTermIsGoneOnFrom checks that a drained node or a closed terminal ends a run in an orderly
// way, and that the next run resumes it.
func TestTermIsGoneOnFrom(t *testing.T) {
	t.Parallel()
	for name, newPlace := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCrashWorld(t, newPlace(t, longLease), false, 1)
			signal := syscall.SIGTERM
			if name == "disk" {
				signal = syscall.SIGHUP
			}
			p := w.signalMidway(t, signal)
			if p.code() != 128+int(signal) {
				t.Fatal(p)
			}
			f := w.open(t)
			defer f.Close()
			if feed := w.state(t, f); feed.Lease != nil || feed.Unfinished == nil || len(feed.Runs) > 0 {
				t.Errorf("lease %v, unfinished %v, runs %v", feed.Lease, feed.Unfinished, feed.Runs)
			}
			if there := parquet(t, f); len(there) > 0 {
				t.Errorf("published: %q", there)
			}
			if len(w.staged(t)) == 0 {
				t.Error("nothing is staged any more")
			}
			w.finish(t)
			w.check(t, 0)
			if n := len(w.jobs); n != 1 {
				t.Errorf("%d kick-offs", n)
			}
			if reports := w.reports(t, f); len(reports) != 1 || !reports[0].Resumed {
				t.Errorf("reports: %+v", reports)
			}
		})
	}
}

// TestInterruptGivesUp checks that Ctrl-C gives up the run.
func TestInterruptGivesUp(t *testing.T) {
	t.Parallel()
	for name, newPlace := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCrashWorld(t, newPlace(t, longLease), false, 1)
			p := w.signalMidway(t, syscall.SIGINT)
			if p.code() != 130 {
				t.Fatal(p)
			}
			for _, said := range []string{"a second signal, at least a second from now, ends the process at once", "SIGTERM keeps both for the next run"} {
				if strings.Count(p.stderr.String(), said) != 1 {
					t.Errorf("not said once: %s\n%v", said, p)
				}
			}
			f := w.open(t)
			defer f.Close()
			if feed := w.state(t, f); feed.Lease != nil || feed.Unfinished != nil || len(feed.Runs)+len(feed.Ended) > 0 {
				t.Errorf("lease %v, unfinished %v, runs %v, ended %v", feed.Lease, feed.Unfinished, feed.Runs, feed.Ended)
			}
			if there := parquet(t, f); len(there) > 0 {
				t.Errorf("published: %q", there)
			}
			if left := w.staged(t); len(left) > 0 {
				t.Errorf("staged: %q", left)
			}
			w.mu.Lock()
			if len(w.jobs) != 1 || w.jobs[0].deleted == 0 {
				t.Errorf("the server's exports: %+v", w.jobs)
			}
			w.mu.Unlock()
			w.finish(t)
			w.check(t, 0)
		})
	}
}

// signalMidway runs the program, and signals it twice, like timeout(1), when a part of the large
// file is staged.
func (w *crashWorld) signalMidway(t *testing.T, signal os.Signal) *process {
	t.Helper()
	w.shutGate()
	p := w.start(t)
	w.awaitOpen(t, p)
	for range 2 {
		if err := p.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	}
	<-p.ended
	w.openGate()
	return p
}

// finish runs the program to its end.
func (w *crashWorld) finish(t *testing.T) *process {
	t.Helper()
	p := w.start(t)
	if code := p.code(); code != 0 && code != 11 { // the first night has a line that is not a resource
		t.Fatal(p)
	}
	return p
}
