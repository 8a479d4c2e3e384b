package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// cutOff runs the feed until the server is asked for the nth file.
func (c *clinic) cutOff(t *testing.T, nth int) {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	remove := c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Skip: nth - 1, Do: func(http.ResponseWriter, *http.Request, http.Handler) {
		stop(errDead)
		panic(http.ErrAbortHandler)
	}})
	defer remove()
	if _, err := pipeline.Run(ctx, c.Options); !errors.Is(err, errDead) {
		t.Fatalf("error %v", err)
	}
	if c.feed(t).Unfinished == nil {
		t.Fatal("nothing is left to go on with")
	}
}

// What a run is about stays as it was when the run began, whatever the feed asks for when it is
// resumed. The next run takes up the changes.
func TestGoingOnAfterTheFeedChanged(t *testing.T) {
	t.Parallel()
	const both, since = " type=Patient,Condition", " since=2026-03-02T02"
	for name, test := range map[string]struct {
		change func(*pipeline.Feed)
		anew   bool
		after  []string // what the next run asks for
	}{
		"nothing": {func(*pipeline.Feed) {}, false,
			[]string{"a" + listing, "b" + listing, "a" + both + since, "b" + both + since}},
		"a type more": {func(f *pipeline.Feed) { f.Request.Types = append(f.Request.Types, "Coverage") }, false,
			[]string{"a" + listing, "b" + listing, "a type=Coverage", "a" + both + since, "b type=Coverage", "b" + both + since}},
		"other groups": {func(f *pipeline.Feed) { f.Groups = []string{"b", "c"} }, false,
			[]string{"b" + listing, "c" + listing, "c type=Patient,Condition patient=Patient/3", "b" + both + since, "c" + both + since}},
		"no members": {func(f *pipeline.Feed) { f.IgnoreNewMembers = true }, false,
			[]string{"a" + both + since, "b" + both + since}},
		"filters": {func(f *pipeline.Feed) { f.Request.TypeFilters = []string{"Patient?_id=1"} }, true,
			[]string{"a" + listing, "b" + listing, "a" + both + since, "b" + both + since}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newPractice(t, "a: 1", "b: 2", "c: 3")
			c.Feed.Groups = []string{"a", "b"}
			c.Feed.Request.Types = []string{"Patient", "Condition"}
			c.cutOff(t, 2) // of the second list
			c.wantGroupsAsked(t, "a"+listing, "b"+listing)
			c.then(1)
			test.change(&c.Feed)
			report := c.run(t)
			if report.Resumed == test.anew {
				t.Errorf("resumed: %v", report.Resumed)
			}
			want := []string{"a" + both, "b" + both}
			if test.anew {
				want = []string{"a" + listing, "b" + listing, "a" + both, "b" + both}
			}
			c.wantGroupsAsked(t, want...)
			c.wantMarks(t, map[string]string{"Patient": "02", "Condition": "02"})
			c.wantTidy(t)
			c.then(1)
			c.run(t)
			c.wantGroupsAsked(t, test.after...)
		})
	}
}

func (c *clinic) wantGroupsAsked(t *testing.T, want ...string) {
	t.Helper()
	for i := range want {
		want[i] = "/Group/" + want[i]
	}
	c.wantAsked(t, want...)
}

// A file that is partly converted is resumed only if its beginning proves to be the same;
// otherwise the server is asked for another export.
func TestGoingOnInAFile(t *testing.T) {
	t.Parallel()
	want := map[string][]string{"Patient": resources("Patient", 0, 2000)}
	for name, test := range map[string]struct {
		change func(*testing.T, *world)
		anew   bool
	}{
		"the same": {func(*testing.T, *world) {}, false},
		"another line": {func(_ *testing.T, w *world) {
			w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: bulktest.EditBody(func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"n":1.50`), []byte(`"n":1.51`), 1)
			})})
		}, true},
		"shorter": {func(_ *testing.T, w *world) {
			w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: bulktest.EditBody(func(b []byte) []byte {
				return b[:bytes.IndexByte(b, '\n')+1]
			})})
		}, true},
		"a ledger without its hash": {func(t *testing.T, w *world) {
			w.editLedgers(t, func(b []byte) []byte {
				return regexp.MustCompile(`"xxh128":"\w+"`).ReplaceAll(b, []byte(`"sha256":"0123456789abcdef"`))
			})
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", want["Patient"]...)}})
			w.Workers, w.PartBytes, w.RowGroupBytes = 1, 1, 50_000
			dying := &mortalStore{Dir: w.dir}
			dying.lives.Store(20)
			w.Sink = dying
			if _, err := pipeline.Run(t.Context(), w.Options); !errors.Is(err, errDead) {
				t.Fatalf("error %v", err)
			}
			if !w.ledgersHold(t, `"open":{`) {
				t.Fatal("it died before or after the file's parts")
			}
			test.change(t, w)
			w.Sink, w.Progress = w.dir, new(pipeline.Progress)
			report, err := pipeline.Run(t.Context(), w.Options)
			if err != nil {
				t.Fatal(err)
			}
			lines := int64(len(want["Patient"]))
			if now := w.Progress.Snapshot().Resources; report.Files[0].Lines != lines || now > lines || (now == lines) != test.anew {
				t.Errorf("the file has %d lines of %d, %d of them new", report.Files[0].Lines, lines, now)
			}
			if report.Resumed == test.anew || (w.kickOffs() > 1) != test.anew {
				t.Errorf("resumed: %v, with %d kick-offs", report.Resumed, w.kickOffs())
			}
			if diff := cmp.Diff(want, w.published(t)); diff != "" {
				t.Errorf("published (-want +got):\n%.2000s", diff)
			}
			w.wantTidy(t)
		})
	}
}

// ledgersHold reports whether a text is in an entry of the runs' ledgers.
func (w *world) ledgersHold(t *testing.T, text string) bool {
	t.Helper()
	return slices.ContainsFunc(w.ledgers(t), func(name string) bool {
		b, err := os.ReadFile(filepath.Join(w.dir.String(), name))
		return err == nil && bytes.Contains(b, []byte(text))
	})
}

func TestConvertBeginsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	dir := t.TempDir()
	for _, typ := range []string{"Patient", "Observation"} {
		if err := os.WriteFile(filepath.Join(dir, typ+".ndjson"), []byte(strings.Join(resources(typ, 0, 20), "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	convert := func(to pipeline.Sink) error {
		files, err := pipeline.FindFiles(nil, dir)
		if err != nil {
			t.Fatal(err)
		}
		o := w.Options
		o.Sink = to
		_, err = pipeline.Convert(t.Context(), files, o)
		return err
	}
	// A run of exports is under way.
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: func(http.ResponseWriter, *http.Request, http.Handler) {
		stop(errDead)
		panic(http.ErrAbortHandler)
	}})
	if _, err := pipeline.Run(ctx, w.Options); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	for _, lives := range []int64{4, 8, 12, 16} {
		dying := &mortalStore{Dir: w.dir}
		dying.lives.Store(lives)
		if err := convert(dying); !errors.Is(err, errDead) {
			t.Fatalf("error %v", err)
		}
	}
	if err := convert(w.dir); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"Patient": resources("Patient", 0, 20), "Observation": resources("Observation", 0, 20)}
	if diff := cmp.Diff(want, w.published(t)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	w.wantTidy(t)
	if len(w.requests(bulktest.DeleteEndpoint)) == 0 {
		t.Error("the server was not told to delete its export")
	}
	if feed := w.feed(t); len(feed.Runs) != 1 || feed.Runs[0].Kind != ledger.KindFiles || len(feed.Watermarks) > 0 {
		t.Errorf("the feed: %+v", feed)
	}
}

func TestASecondRunIsTurnedAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	w.Holder = "the first"
	other, err := sink.OpenDir(w.dir.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		second := w.Options
		second.Sink, second.Holder = other, "the second"
		report, err := pipeline.Run(t.Context(), second)
		var held *ledger.HeldError
		if !errors.As(err, &held) || !strings.HasPrefix(held.Holder, "the first") || held.Since.IsZero() || report.Status != lake.StatusFailed {
			t.Errorf("error of the second run: %v, %+v", err, held)
		}
		next.ServeHTTP(rw, r)
	}})
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	if got := w.kickOffs(); got != 1 {
		t.Errorf("the server saw %d kick-offs, want 1", got)
	}
	w.wantTidy(t)
}

// Some servers accept no other export until the previous one is deleted. A run with several
// exports then deletes those that it has fetched, and no others.
func TestOneExportUntilItIsDeleted(t *testing.T) {
	t.Parallel()
	c := newClinic(t, practice("a: 1 2", "b: 3")...)
	busy := func(*http.Request) bool {
		there := 0
		for _, r := range c.server.Requests() {
			switch {
			case r.Endpoint == bulktest.KickOffEndpoint && r.Status == http.StatusAccepted:
				there++
			case r.Endpoint == bulktest.DeleteEndpoint:
				there--
			}
		}
		return there > 0
	}
	c.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, When: busy, Times: bulktest.Always,
		Do: bulktest.Respond(http.StatusTooManyRequests, http.Header{"Retry-After": {"0"}}, "")})
	c.Feed.Request.Level, c.Feed.Groups = bulk.Group, []string{"a", "b"}
	c.run(t)
	if got := len(c.live(t)["Patient"]); got != 3 {
		t.Errorf("%d patients are live, want 3", got)
	}
	c.wantTidy(t)
	c.wantDeleted(t, 4) // two lists of members, two exports

	c.KeepJob = pipeline.KeepAlways // impossible with such a server and more than one export
	c.then(1)
	if _, err := pipeline.Run(t.Context(), c.Options); err == nil {
		t.Error("exports that are to be kept were deleted")
	}
}
