package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/columnar"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// world is a server, a sink, and a feed between them.
type world struct {
	server *bulktest.Server
	dir    *sink.Dir
	logs   *bytes.Buffer
	pipeline.Options
}

// section is data that changes: it is called at each kick-off.
type section func() []bulktest.File

func (s section) Files() []bulktest.File { return s() }

func newWorld(t *testing.T, o bulktest.Options) *world {
	t.Helper()
	server, err := bulktest.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	dir, err := sink.OpenDir(filepath.Join(t.TempDir(), "lake"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	client := transport.New(transport.Options{})
	t.Cleanup(client.CloseIdleConnections)
	w := &world{server: server, dir: dir, logs: new(bytes.Buffer)}
	c, err := bulk.New(bulk.Options{
		Base: server.FHIR(),
		HTTP: client,
		Credentials: auth.NewCache(auth.ClientCredentials{
			TokenURL: server.TokenURL(), ClientID: bulktest.DefaultClientID, ClientSecret: bulktest.DefaultClientSecret,
			Scope: bulktest.DefaultScope, HTTP: client,
		}),
		Poll:  bulk.Poll{Min: time.Millisecond, Max: time.Millisecond},
		Retry: transport.Retry{Max: 2, MinWait: time.Millisecond, MaxWait: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Options = pipeline.Options{
		Feed:   pipeline.Feed{Name: "members", Source: "bison", Purpose: "backfill", Request: bulk.Request{Level: bulk.System}},
		Server: pipeline.Client(c),
		Sink:   dir,
		Log:    slog.New(slog.NewTextHandler(w.logs, nil)),
	}
	return w
}

// lake returns the lake in the world's folder.
func (w *world) lake() lake.Lake { return lake.Lake{Parts: w.dir, State: w.dir} }

// published returns the resources of every published part, by the folder below the
// layout, sorted.
func (w *world) published(t *testing.T) map[string][]string {
	t.Helper()
	return w.rows(t, func(string) bool { return true })
}

// live is like published, but only for runs that the feed names.
func (w *world) live(t *testing.T) map[string][]string {
	t.Helper()
	runs := w.feed(t).Runs
	return w.rows(t, func(run string) bool {
		return slices.ContainsFunc(runs, func(r ledger.PublishedRun) bool { return "kiln_run="+r.Run == run })
	})
}

func (w *world) rows(t *testing.T, of func(run string) bool) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for _, name := range w.files(t, ".parquet") {
		parts := strings.Split(name, "/")
		if parts[0] != columnar.LayoutPath || parts[2] != "kiln_source=bison" || parts[3] != "kiln_feed=members" || !strings.HasPrefix(parts[4], "kiln_run=r") {
			t.Errorf("a part is at %s", name)
		}
		if of(parts[4]) {
			rows[parts[1]] = append(rows[parts[1]], restored(t, filepath.Join(w.dir.String(), name))...)
		}
	}
	for _, r := range rows {
		slices.Sort(r)
	}
	return rows
}

// restored turns a part back into resources.
func restored(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := columnar.NewReader(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []string
	for {
		resource, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(resource))
	}
}

// files lists the files of the sink that end with suffix.
func (w *world) files(t *testing.T, suffix string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(w.dir.String()), ".", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a run in progress prunes empty folders
		}
		if err == nil && !d.IsDir() && strings.HasSuffix(name, suffix) {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// wantUnseen checks that a failed run has published nothing.
func (w *world) wantUnseen(t *testing.T) {
	t.Helper()
	if seen := w.files(t, ".parquet"); len(seen) > 0 {
		t.Errorf("the failed run published %q", seen)
	}
	if feed := w.feed(t); len(feed.Runs) > 0 || len(feed.Watermarks) > 0 {
		t.Errorf("the feed says that a failed run was published: %+v", feed)
	}
}

// wantTidy checks that nothing is staged, and that no run is unfinished.
func (w *world) wantTidy(t *testing.T) {
	t.Helper()
	if left := slices.Concat(w.files(t, ".staged"), w.ledgers(t)); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
	if feed := w.feed(t); feed.Unfinished != nil || len(feed.Ended) > 0 || feed.Lease != nil {
		t.Errorf("the feed is not at rest: %+v", feed)
	}
}

func (w *world) ledgers(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(w.files(t, ".json"), func(name string) bool { return !strings.Contains(name, "/ledger/") })
}

func (w *world) feed(t *testing.T) ledger.Feed {
	t.Helper()
	feed, err := ledger.Read(t.Context(), w.dir, w.Feed.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return feed
}

// requests returns the requests that the server got at an endpoint and for which every where
// holds.
func (w *world) requests(at bulktest.Endpoint, where ...func(bulktest.Request) bool) []bulktest.Request {
	return slices.DeleteFunc(w.server.Requests(), func(r bulktest.Request) bool {
		return r.Endpoint != at || slices.ContainsFunc(where, func(is func(bulktest.Request) bool) bool { return !is(r) })
	})
}

// kickOffs returns how many exports the server was asked for.
func (w *world) kickOffs() int { return len(w.requests(bulktest.KickOffEndpoint)) }

func (w *world) wantDeleted(t *testing.T, want int) {
	t.Helper()
	if deleted := len(w.requests(bulktest.DeleteEndpoint)); deleted != want {
		t.Errorf("the server saw %d DELETEs, want %d", deleted, want)
	}
}

func resource(typ string, n int) string {
	return fmt.Sprintf(`{"resourceType":%q,"id":"%s-%d","meta":{"lastUpdated":"2026-01-02T03:04:05.678Z"},"n":1.50}`, typ, typ, n)
}

func resources(typ string, from, to int) []string {
	var lines []string
	for n := from; n < to; n++ {
		lines = append(lines, resource(typ, n))
	}
	slices.Sort(lines)
	return lines
}
