package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// instant is when a process is killed.
type instant struct {
	what  string // time, server or store
	part  float64
	after bool // after a request is done, but before its answer arrives
}

func (k *instant) String() string { return fmt.Sprintf("%s %.3f after=%v", k.what, k.part, k.after) }

// reckoning is what an undisturbed run takes.
type reckoning struct {
	time          time.Duration
	server, store int // requests; for a folder, the writes seen
}

// draw chooses an instant, or nil to let the process live.
func draw(random *rand.Rand) *instant {
	k := &instant{part: random.Float64() * 1.05, after: random.IntN(2) == 0}
	kinds := []string{"time", "server", "store", "store"}
	k.what = kinds[random.IntN(len(kinds))]
	return k
}

// process is a running program.
type process struct {
	*exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
	ended  chan struct{}
	err    error
	asked  atomic.Bool // kill was called
	killed bool        // the signal ended it
}

func (w *crashWorld) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: fhirkiln(t.Context(), t, w.dir, append([]string{"run"}, args...)...), ended: make(chan struct{})}
	p.Cmd.Stdout, p.Cmd.Stderr = &p.stdout, &p.stderr
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.Cmd.Wait()
		p.killed = exitCode(p.err) == -1 && p.asked.Load()
		close(p.ended)
	}()
	return p
}

func (p *process) kill() {
	p.asked.Store(true)
	p.Process.Kill()
}

// code waits for the end and returns the exit code.
func (p *process) code() int {
	<-p.ended
	return exitCode(p.err)
}

// String waits for the end and describes it.
func (p *process) String() string {
	return fmt.Sprintf("exit code %d (%v)\nstdout:\n%s\nstderr:\n%s", p.code(), p.err, &p.stdout, &p.stderr)
}

// wantsLease waits for the end, and reports whether the process ended for lack of a lease. On S3
// a process may lose its lease in one busy second, to another process (12) or to nobody (10), or
// find the last sign of life of a dead one (12).
func (p *process) wantsLease() bool {
	code := p.code()
	return code == 12 || code == 10 && strings.Contains(p.stderr.String(), "the lease is lost: it could not be renewed")
}

// attempt runs the program until it ends or is killed at k; nil lets it live.
func (w *crashWorld) attempt(t *testing.T, k *instant, full reckoning) (p *process, used reckoning) {
	t.Helper()
	var counting sync.Mutex
	// hit counts, and reports whether this is the instant to kill at.
	hit := func(what string, seen *int, of int) bool {
		counting.Lock()
		defer counting.Unlock()
		*seen++
		return k != nil && k.what == what && *seen == 1+int(k.part*float64(of))
	}
	started := make(chan struct{}) // closed when there is a process to kill
	kill := func() {
		<-started
		p.kill()
		<-p.ended
	}
	w.arm(func(*http.Request) (before, after func()) {
		before, after = func() {}, func() {}
		if hit("server", &used.server, full.server) {
			if k.after {
				after = kill
			} else {
				before = kill
			}
		}
		return before, after
	})
	if w.proxy != nil {
		w.proxy.set(&fault{do: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			if !hit("store", &used.store, full.store) {
				next.ServeHTTP(rw, r)
				return
			}
			if k.after {
				next.ServeHTTP(httptest.NewRecorder(), r)
			}
			kill()
			drop(rw)
		}})
	}
	begin := time.Now()
	p = w.start(t)
	close(started)
	if k != nil && k.what == "time" {
		defer time.AfterFunc(time.Duration(k.part*float64(full.time)), p.kill).Stop()
	}
	if w.folder != "" {
		watch(w.folder, p.ended, func() {
			if hit("store", &used.store, full.store) {
				p.kill()
			}
		})
	}
	p.code()
	w.arm(nil)
	counting.Lock()
	defer counting.Unlock()
	used.time = time.Since(begin)
	return p, used
}

func (w *crashWorld) arm(f func(*http.Request) (before, after func())) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = f
}
