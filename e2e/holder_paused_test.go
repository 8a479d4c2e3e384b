package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"fhirkiln/pipeline/ledger"
)

// TestPausedHolder stops a run for longer than its lease. Another run takes over and publishes.
// When the first one wakes up, it publishes nothing more.
func TestPausedHolder(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil, nil, nil)
	for _, tt := range []struct {
		name      string
		operation string // where the run is stopped; "" means while it downloads
		key       string // part of the object's key
		skip      int
		behind    string // counting starts after a request for this
		late      bool   // the request itself is passed on when the other run is done
	}{
		{name: "downloading"},
		{name: "before it publishes", operation: "ListParts", key: ".parquet"},
		{name: "amid publishing", operation: "CompleteMultipartUpload", key: ".parquet", skip: 3},
		{name: "amid publishing, a request under way", operation: "CompleteMultipartUpload", key: ".parquet", skip: 1, late: true},
		{name: "before its report", operation: "PutObject", key: "/report.json"},
		{name: "before the swap, a request under way", operation: "PutObject", key: "/parts.json", late: true},
		{name: "the swap under way", operation: "PutObject", key: "/feeds/", behind: "/report.json", late: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newCrashWorld(t, newBucket(t, g, longLease), false, 1)
			var first *process
			stopped, done := make(chan struct{}), make(chan struct{})
			letGo := sync.OnceFunc(func() { close(done) })
			defer letGo()
			stop := sync.OnceFunc(func() {
				if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
					t.Error(err)
				}
				close(stopped)
			})
			started := make(chan struct{})
			if tt.operation == "" {
				w.shutGate()
			} else {
				skip, behind := tt.skip, tt.behind == ""
				var mu sync.Mutex
				w.proxy.set(&fault{do: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
					<-started
					mu.Lock()
					hit := behind && operation(r) == tt.operation && strings.Contains(r.URL.Path, tt.key)
					if hit {
						skip--
						hit = skip == -1
					}
					behind = behind || operation(r) == tt.operation && strings.Contains(r.URL.Path, tt.behind)
					mu.Unlock()
					if !hit {
						next.ServeHTTP(rw, r)
						return
					}
					if !tt.late {
						next.ServeHTTP(httptest.NewRecorder(), r)
					}
					stop()
					if <-done; tt.late {
						next.ServeHTTP(rw, r)
						return
					}
					drop(rw)
				}})
			}
			first = w.start(t)
			close(started)
			if tt.operation == "" {
				w.awaitOpen(t, first)
				stop()
			}
			select {
			case <-stopped:
			case <-first.ended:
				t.Fatalf("it has ended, and was to be stopped: %v", first)
			}
			defer first.kill()
			if tt.operation == "" {
				w.openGate()
			}
			second := w.finish(t)
			if said := second.stderr.String(); !strings.Contains(said, "took over the lease") || !strings.Contains(said, "resuming a run") {
				t.Errorf("who took over says:\n%s", said)
			}
			f := w.open(t)
			defer f.Close()
			feed, _, err := f.Load(t.Context(), ledger.FeedKey(w.feed))
			if err != nil {
				t.Fatal(err)
			}
			before := keys(t, f, "")
			letGo()
			if err := first.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if first.code() != 12 {
				t.Errorf("who was stopped is to end with 12: %v", first)
			}
			after, _, err := f.Load(t.Context(), ledger.FeedKey(w.feed))
			if err != nil || string(after) != string(feed) {
				t.Errorf("the feed has changed: %s%s (%v)", feed, after, err)
			}
			if diff := gocmp.Diff(before, keys(t, f, "")); diff != "" {
				t.Errorf("who was stopped has left something (-before +after):\n%s", diff)
			}
			w.check(t, 0)
			if len(w.jobs) != 1 {
				t.Errorf("%d kick-offs", len(w.jobs))
			}
		})
	}
}

// TestPausedOnDisk checks that on disk the lock holds as long as the process lives, stopped or
// not.
func TestPausedOnDisk(t *testing.T) {
	t.Parallel()
	w := newCrashWorld(t, newFolder(t), false, 1)
	w.shutGate()
	first := w.start(t)
	defer first.kill()
	w.awaitOpen(t, first)
	if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.openGate()
	second := w.start(t)
	if second.code() != 12 || !strings.Contains(second.stderr.String(), "is working on feed ") {
		t.Error(second)
	}
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if first.code() != 11 {
		t.Error(first)
	}
	w.check(t, 0)
	if len(w.jobs) != 1 {
		t.Errorf("%d kick-offs", len(w.jobs))
	}
}
