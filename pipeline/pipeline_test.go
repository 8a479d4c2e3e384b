package pipeline_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func TestRunPublishesEveryResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{
		Polls: 2,
		Data: bulktest.Files{
			bulktest.Lines("Patient", resources("Patient", 0, 5)...),
			bulktest.Lines("Patient", resources("Patient", 5, 7)...),
			bulktest.Lines("Observation", append(resources("Observation", 0, 3), resource("Device", 1))...), // servers do mix
		},
	})
	progress := new(pipeline.Progress)
	w.Progress = progress
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"Patient": resources("Patient", 0, 7), "Observation": resources("Observation", 0, 3), "Device": {resource("Device", 1)},
	}
	if diff := cmp.Diff(want, w.published(t)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if got := w.files(t, ".staged"); len(got) > 0 {
		t.Errorf("still staged: %q", got)
	}
	w.wantDeleted(t, 1)

	if report.Resources != 11 || len(report.Files) != 3 || report.TransactionTime == "" {
		t.Errorf("report: %d resources, %d files, transactionTime %q", report.Resources, len(report.Files), report.TransactionTime)
	}
	for _, typ := range report.Types {
		if want := map[string]int64{"Device": 1}[typ.Type]; typ.Strays != want {
			t.Errorf("%d strays of %s, want %d", typ.Strays, typ.Type, want)
		}
	}
	var rows int64
	for _, p := range report.Parts {
		rows += p.Rows
	}
	if rows != 11 {
		t.Errorf("the report's parts have %d rows, want 11", rows)
	}
	kept, err := os.ReadFile(filepath.Join(w.dir.String(), "_fhirkiln", "runs", report.Run, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var read lake.Report
	if err := json.Unmarshal(kept, &read); err != nil || read.Resources != 11 || read.Status != ledger.StatusPublished {
		t.Errorf("report.json: %s, %d resources, error %v", read.Status, read.Resources, err)
	}
	s := progress.Snapshot()
	if s.Phase != pipeline.Done || s.Files != 3 || s.FilesDone != 3 || s.Resources != 11 || s.Expected != 11 || s.Bytes == 0 ||
		s.BytesBefore != s.Bytes || s.ResourcesBefore != 11 {
		t.Errorf("progress at the end: %+v", s)
	}
}

func TestRunTakesSeveralExports(t *testing.T) {
	t.Parallel()
	group := func(id string, patients ...int) string {
		var members []string
		for _, p := range patients {
			members = append(members, fmt.Sprintf(`{"entity":{"reference":"Patient/Patient-%d"}}`, p))
		}
		return fmt.Sprintf(`{"resourceType":"Group","id":%q,"member":[%s]}`, id, strings.Join(members, ","))
	}
	clock := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	var kickOffs atomic.Int64
	w := newWorld(t, bulktest.Options{
		Data: bulktest.Files{
			bulktest.Lines("Patient", resources("Patient", 0, 4)...),
			bulktest.Lines("Group", group("a", 0, 1), group("b", 2)),
		},
		TransactionTime: func() time.Time { return clock.Add(time.Duration(kickOffs.Add(1)) * time.Hour) },
	})
	w.Feed.Request.Level, w.Feed.Groups, w.Feed.IgnoreNewMembers = bulk.Group, []string{"a", "b"}, true
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"Patient": resources("Patient", 0, 3)}, w.published(t)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if want := "2026-11-01T01:00:00Z"; !strings.HasPrefix(report.TransactionTime, want[:19]) {
		t.Errorf("transactionTime %s, want the first and lowest, %s", report.TransactionTime, want)
	}
	w.wantDeleted(t, 2)
}

func TestRunKeepsDeletedApart(t *testing.T) {
	t.Parallel()
	gone := `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/9"}}]}`
	w := newWorld(t, bulktest.Options{
		Data:    bulktest.Files{bulktest.Lines("Patient", resource("Patient", 0))},
		Deleted: bulktest.Files{bulktest.Lines("Bundle", gone)},
	})
	w.Feed.Request.Since = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"Patient": {resource("Patient", 0)}, "deleted": {gone}}
	if diff := cmp.Diff(want, w.published(t)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func TestPartsAreFilledWithWholeFiles(t *testing.T) {
	t.Parallel()
	var files bulktest.Files
	for n := range 60 {
		files = append(files, bulktest.Lines("Patient", resource("Patient", n)))
	}
	w := newWorld(t, bulktest.Options{Data: files})
	w.Workers = 3
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Parts) > 3 {
		t.Errorf("60 files of one line became %d parts, want one a worker at most", len(report.Parts))
	}
	if diff := cmp.Diff(resources("Patient", 0, 60), w.published(t)["Patient"]); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

// Parts are closed only between row groups, so small parts need small row groups.
func TestSmallPartsOfALargeFile(t *testing.T) {
	t.Parallel()
	const partBytes = 64 << 10
	text := make([]byte, 10_000)
	random := rand.New(rand.NewPCG(1, 2))
	var lines []string
	for n := range 200 { // 2 MB that do not compress well
		for i := range text {
			text[i] = 'A' + byte(random.IntN(26))
		}
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Observation","id":"%d","valueString":"%s"}`, n, text))
	}
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Observation", lines...)}})
	w.PartBytes = partBytes
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(report.Parts); n < 6 {
		t.Errorf("%d parts, want one for each 256 KiB of NDJSON", n)
	}
}

func TestServerErrorsMakeAPartialRun(t *testing.T) {
	t.Parallel()
	outcome := func(severity string) string {
		return fmt.Sprintf(`{"resourceType":"OperationOutcome","issue":[{"severity":%q,"code":"processing","diagnostics":"MBI 1S00A00AA00"}]}`, severity)
	}
	for severity, partial := range map[string]bool{"error": true, "fatal": true, "warning": false, "information": false} {
		t.Run(severity, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{
				Data:   bulktest.Files{bulktest.Lines("Patient", resource("Patient", 0))},
				Errors: bulktest.Files{bulktest.Lines("OperationOutcome", outcome(severity), outcome(severity))},
			})
			report, err := pipeline.Run(t.Context(), w.Options)
			var p *pipeline.PartialError
			if errors.As(err, &p) != partial || !partial && err != nil {
				t.Fatalf("error %v, want partial: %v", err, partial)
			}
			if len(w.published(t)["Patient"]) != 1 {
				t.Error("the good row is not published")
			}
			if (report.Status == ledger.StatusPartial) != partial {
				t.Errorf("status %s", report.Status)
			}
			if len(report.Issues) != 1 || report.Issues[0].Count != 2 || report.Issues[0].Severity != severity {
				t.Errorf("issues %+v", report.Issues)
			}
			kept, _ := report.JSON()
			if strings.Contains(string(kept)+w.logs.String()+fmt.Sprint(err), "1S00A00AA00") {
				t.Error("the outcome's text has leaked")
			}
		})
	}
}
