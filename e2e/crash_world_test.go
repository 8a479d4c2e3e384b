package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// crashWorld is a server, a place and a feed between them, in which programs are killed.
type crashWorld struct {
	*place
	nights []night
	sky    *sky
	server *bulktest.Server
	dir    string // of config.yaml
	feed   string
	group  bool // the feed is of a group, with new members

	leaseless int // processes that ended for lack of a lease

	mu    sync.Mutex
	armed func(r *http.Request) (before, after func()) // of the present process
	gate  *gate
	jobs  []*crashJob
	rows  map[string][]string // of parts already read, by key
}

// crashJob is an export that the server has begun.
type crashJob struct {
	path    string // of its status URL
	asked   string // what was asked for
	polled  int
	deleted int
	named   bool // a ledger that names it was seen
}

// newCrashWorld makes a world whose parts are closed at partMiB.
func newCrashWorld(t *testing.T, p *place, group bool, partMiB int) *crashWorld {
	t.Helper()
	return newNightsWorld(t, p, allNights(), group, partMiB)
}

func newNightsWorld(t *testing.T, p *place, nights []night, group bool, partMiB int) *crashWorld {
	t.Helper()
	w := &crashWorld{place: p, nights: nights, sky: &sky{}, dir: t.TempDir(), feed: "everything", group: group, rows: map[string][]string{}}
	server, err := bulktest.NewServer(bulktest.Options{
		Data:            crashData{w.sky, nights, func(n night) []bulktest.File { return n.files }},
		Deleted:         crashData{w.sky, nights, func(n night) []bulktest.File { return n.deleted }},
		TransactionTime: w.sky.transactionTime,
		Polls:           3,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	w.server = server
	server.Inject(bulktest.Fault{Name: "slow", Times: bulktest.Always, Do: w.serve})
	level := "level: system"
	if group {
		level = "level: group, groups: [everyone]"
	}
	config := fmt.Sprintf(`
sources:
  practice:
    fhir: %s
    auth: {type: client_credentials, token_url: %s, client_id: %s, client_secret: %s, scope: "%s"}
    poll: {min: 10ms, max: 20ms}
    downloads: 3
feeds:
  everything: {source: practice, %s, part_mib: %d, max_quarantined: 50%%}
%s`, server.FHIR(), server.TokenURL(), bulktest.DefaultClientID, bulktest.DefaultClientSecret, bulktest.DefaultScope, level, partMiB, p.config)
	if err := os.WriteFile(filepath.Join(w.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// serve is slow, so that a random instant can fall anywhere. It records the jobs.
func (w *crashWorld) serve(rw http.ResponseWriter, r *http.Request, next http.Handler) {
	w.mu.Lock()
	armed, gate := w.armed, w.gate
	w.mu.Unlock()
	before, after := func() {}, func() {}
	if armed != nil {
		before, after = armed(r)
	}
	before()
	time.Sleep(2 * time.Millisecond)
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/$export"):
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		w.kickedOff(r, answer)
		after()
		for name, values := range answer.Header() {
			rw.Header()[name] = values
		}
		rw.WriteHeader(answer.Code)
		rw.Write(answer.Body.Bytes())
		return
	case strings.Contains(path, "/$export/file/"):
		slow := &slowWriter{ResponseWriter: rw, gone: r.Context().Done()}
		if strings.Contains(path, "/Observation.") {
			slow.gate = gate
		}
		rw = slow
		r.Header.Del("Accept-Encoding") // compressing would cost this process more than all else
	case strings.Contains(path, "/$export/job/"):
		w.asked(r)
	}
	next.ServeHTTP(rw, r)
	after()
}

// slowWriter pauses after every half megabyte, and at the gate.
type slowWriter struct {
	http.ResponseWriter
	sent int
	gate *gate // nil: none
	gone <-chan struct{}
}

func (w *slowWriter) Write(p []byte) (n int, err error) {
	const piece = 512 << 10
	for len(p) > 0 && err == nil {
		m := min(len(p), piece-w.sent%piece)
		if w.gate != nil && w.sent >= gateBytes {
			select {
			case <-w.gate.opened:
			case <-w.gone:
			}
		}
		m, err = w.ResponseWriter.Write(p[:m])
		w.sent += m
		n, p = n+m, p[m:]
		if w.sent%piece == 0 {
			time.Sleep(8 * time.Millisecond)
		}
	}
	return n, err
}

// gateBytes is where in the large file the gate is: after more than one part and less than two.
const gateBytes = 6 << 20

// gate stops the large file in its middle.
type gate struct{ opened chan struct{} }

func (w *crashWorld) shutGate() *gate {
	g := &gate{make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate = g
	return g
}

func (w *crashWorld) openGate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.gate.opened)
	w.gate = nil
}

// awaitOpen waits until the ledger says that p has staged a part of the large file, and p, now at
// the gate, no longer adds to the ledger. A process stopped in the middle of adding an entry
// would add it late, and leave an entry that does not count.
func (w *crashWorld) awaitOpen(t *testing.T, p *process) {
	t.Helper()
	var before []string
	for quiet := 0; quiet < 20; quiet++ {
		f := w.open(t)
		now := keys(t, f, "_fhirkiln/runs/")
		open := slices.ContainsFunc(now, func(key string) bool {
			content, _, err := f.Load(t.Context(), key)
			return err == nil && strings.Contains(string(content), `"open":`)
		})
		f.Close()
		if !open || !slices.Equal(now, before) {
			quiet, before = 0, now
		}
		select {
		case <-p.ended:
			t.Fatalf("it has ended, and there never was a part of the large file: %v", p)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (w *crashWorld) kickedOff(r *http.Request, answer *httptest.ResponseRecorder) {
	if answer.Code != http.StatusAccepted {
		return
	}
	at := answer.Header().Get("Content-Location")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs = append(w.jobs, &crashJob{path: at[strings.Index(at, "/fhir/"):], asked: r.URL.RequestURI()})
}

func (w *crashWorld) asked(r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range w.jobs {
		switch {
		case j.path != r.URL.Path:
		case r.Method == http.MethodDelete:
			j.deleted++
		default:
			j.polled++
		}
	}
}

// state returns the feed's object, or the zero Feed if there is none.
func (w *crashWorld) state(t *testing.T, f files) ledger.Feed {
	t.Helper()
	var feed ledger.Feed
	content, _, err := f.Load(t.Context(), ledger.FeedKey(w.feed))
	if errors.Is(err, fs.ErrNotExist) {
		return feed
	}
	if err == nil {
		err = json.Unmarshal(content, &feed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return feed
}

// leased reports whether the feed's object names a holder of the lease.
func (w *crashWorld) leased(t *testing.T) bool {
	t.Helper()
	f := w.open(t)
	defer f.Close()
	return w.state(t, f).Lease != nil
}

// reports returns the reports of all published runs, in order.
func (w *crashWorld) reports(t *testing.T, f files) []*lake.Report {
	t.Helper()
	var all []*lake.Report
	for _, key := range keys(t, f, "_fhirkiln/runs/") {
		if !strings.HasSuffix(key, "/report.json") {
			continue
		}
		content, _, err := f.Load(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		r := new(lake.Report)
		if err := json.Unmarshal(content, r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *lake.Report) int { return a.Finished.Compare(b.Finished) })
	return all
}
