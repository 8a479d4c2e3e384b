package pipeline_test

import (
	"cmp"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

func TestWatermarksByType(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", resource("Patient", 1)), bulktest.Lines("Observation", resource("Observation", 1)), bulktest.Lines("Coverage", resource("Coverage", 1)))
	types := func(names ...string) { c.Feed.Request.Types = names }

	types("Patient")
	if r := c.run(t); r.Kind != ledger.KindFull {
		t.Errorf("the first run is %s", r.Kind)
	}
	c.wantAsked(t, "type=Patient")
	c.wantMarks(t, map[string]string{"Patient": "01"})

	c.then(1)
	types("Patient", "Observation")
	if r := c.run(t); r.Kind != ledger.KindIncremental || r.Resources != 1 {
		t.Errorf("a run with a type that is new is %s, with %d resources", r.Kind, r.Resources)
	}
	c.wantAsked(t, "type=Observation", "type=Patient since=2026-03-01T02")
	c.wantMarks(t, map[string]string{"Patient": "02", "Observation": "02"})

	c.then(1)
	types("Observation", "Patient")
	c.run(t)
	c.wantAsked(t, "type=Observation,Patient since=2026-03-02T02")

	c.then(1)
	types()
	c.run(t) // of other types nothing was ever exported, and of all nobody has asked what was deleted
	c.wantAsked(t, "since=2026-03-01T02", "")
	c.wantMarks(t, map[string]string{"*": "04"})

	c.then(1)
	types("Coverage")
	c.Feed.Overlap = 25 * time.Hour
	c.run(t)
	c.wantAsked(t, "type=Coverage since=2026-03-03T01")
	c.wantMarks(t, map[string]string{"*": "04", "Coverage": "05"})

	c.then(1)
	types()
	c.run(t)
	c.wantAsked(t, "since=2026-03-03T01")
	c.wantMarks(t, map[string]string{"*": "06"})
	c.wantTidy(t)
}

// Servers report deletes only under _since, so a full run asks for them too.
func TestFull(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z"), updated("Patient", "2", "2026-01-01T00:00:00Z")))
	c.Feed.FullEvery = 72 * time.Hour
	c.run(t)
	c.wantAsked(t, "")
	c.then(2)
	c.run(t)
	c.wantAsked(t, "since=2026-03-01T02")

	c.then(1, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
	gone := `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/2"}}]}`
	c.deleted = bulktest.Files{bulktest.Lines("Bundle", gone)}
	if r := c.run(t); r.Kind != ledger.KindFull || r.Resources != 2 {
		t.Errorf("after three days the run is %s, with %d resources", r.Kind, r.Resources)
	}
	c.wantAsked(t, "", "since=2026-03-03T02")
	if got := c.live(t)["deleted"]; len(got) != 1 {
		t.Errorf("tombstones: %q", got)
	}
	c.then(1)
	c.run(t)
	c.wantAsked(t, "since=2026-03-04T02")
	c.Full = true
	c.then(1)
	c.run(t)
	c.wantAsked(t, "", "since=2026-03-05T02")
	c.wantMarks(t, map[string]string{"*": "06"})
	if full := c.feed(t).Full; !full.Equal(c.night) {
		t.Errorf("the last full run is of %v", full)
	}
}

// Deletes since rows became live are requested even if no run has moved the watermark yet, or
// somebody has removed it.
func TestDeletesWithoutAWatermark(t *testing.T) {
	t.Parallel()
	const long = "2026-01-01T00:00:00Z"
	gone := `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/2"}}]}`
	for name, tt := range map[string]struct {
		first  func(t *testing.T, c *clinic)
		unmark []string
		since  string
	}{
		"the first run was partial": {first: func(_ *testing.T, c *clinic) {
			c.errored = bulktest.Files{bulktest.Lines("OperationOutcome", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing"}]}`)}
		}, since: "2026-03-01T02"},
		"its transactionTime was none": {first: func(_ *testing.T, c *clinic) {
			c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: bulktest.EditManifest(func(m map[string]any) { delete(m, "transactionTime") })})
		}, since: "2026-02-28T02"}, // a day before it began
		"it was taken away":          {unmark: []string{"Patient", "Basic"}, since: "2026-03-01T02"},
		"it was taken away, of some": {unmark: []string{"Patient"}, since: "2026-03-01T02"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", long), updated("Patient", "2", long)), bulktest.Lines("Basic", updated("Basic", "3", long)))
			c.Feed.Request.Types = []string{"Patient", "Basic"}
			if tt.first != nil {
				tt.first(t, c)
			}
			c.run(t)
			c.errored = nil
			if tt.unmark != nil {
				if _, err := pipeline.SetWatermark(t.Context(), c.Options, tt.unmark, ""); err != nil {
					t.Fatal(err)
				}
			}
			kind, want := ledger.KindFull, []string{"type=Patient,Basic since=" + tt.since, "type=Patient,Basic"}
			if len(tt.unmark) == 1 {
				kind, want = ledger.KindIncremental, []string{"type=Patient since=" + tt.since, "type=Patient", "type=Basic since=2026-03-01T02"}
			}
			c.then(1, bulktest.Lines("Patient", updated("Patient", "1", long)), bulktest.Lines("Basic", updated("Basic", "3", long)))
			c.deleted = bulktest.Files{bulktest.Lines("Bundle", gone)}
			c.asked(t)
			if r := c.run(t); r.Kind != kind {
				t.Errorf("the run is %s", r.Kind)
			}
			c.wantAsked(t, want...)
			if len(c.live(t)["deleted"]) == 0 {
				t.Error("the tombstone did not come")
			}
			c.wantMarks(t, map[string]string{"Patient": "02", "Basic": "02"})
		})
	}
}

// Deletes from the time when their type was left out are requested when the type comes back.
func TestDeletesOfATypeThatComesBack(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1", "b: 2")
	c.Feed.Request.Types = []string{"Patient", "Condition"}
	c.run(t)
	data, gone := practice("a: 1", "b: 2"), bulktest.Lines("Bundle", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Condition/c2"}}]}`)
	data[1] = bulktest.Lines("Condition", updated("Condition", "c1", "2026-01-01T00:00:00Z"))
	gone.Changed = func([]byte) time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	c.then(1, data...)
	c.deleted = bulktest.Files{gone}
	c.Feed.Request.Types = []string{"Patient"}
	c.run(t)
	c.then(1)
	c.Feed.Request.Types = []string{"Patient", "Condition"}
	c.asked(t)
	if r := c.run(t); r.Kind != ledger.KindIncremental {
		t.Errorf("the run is %s", r.Kind)
	}
	c.wantAsked(t, "/Group/a"+listing, "/Group/b"+listing,
		"/Group/a type=Condition since=2026-03-01T02", "/Group/b type=Condition since=2026-03-01T02", // before what is still there
		"/Group/a type=Condition", "/Group/a type=Patient since=2026-03-02T02", "/Group/b type=Condition", "/Group/b type=Patient since=2026-03-02T02")
	if got := c.live(t)["deleted"]; len(got) != 2 || !strings.Contains(got[0], "Condition/c2") {
		t.Errorf("tombstones: %q", got)
	}
	c.wantMarks(t, map[string]string{"Patient": "03", "Condition": "03"})
	c.then(1)
	c.asked(t)
	c.run(t)
	c.wantAsked(t, "/Group/a"+listing, "/Group/b"+listing, "/Group/a type=Patient,Condition since=2026-03-03T02", "/Group/b type=Patient,Condition since=2026-03-03T02")
	c.wantTidy(t)
}

func TestChangedFilters(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", resource("Patient", 1)))
	c.run(t)
	c.wantAsked(t, "")
	c.Feed.Request.TypeFilters = []string{"Patient?_id=Patient-1"}
	c.Feed.Request.Level = bulk.Patient
	c.then(1)
	report, err := pipeline.Run(t.Context(), c.Options)
	var changed *pipeline.FilterError
	if !errors.As(err, &changed) || !slices.Equal(changed.Changed, []string{"level", "type_filters"}) || report.Status != lake.StatusFailed {
		t.Fatalf("error %v, report %+v", err, report)
	}
	c.wantAsked(t)
	// That something was exported with other filters is no reason to keep a later watermark.
	c.then(-2)
	c.Full = true
	c.run(t)
	c.wantAsked(t, "/Patient", "/Patient since=2026-03-01T02")
	if w := c.feed(t).Watermarks["*"]; w.Time != "2026-02-28T02:00:00.000Z" {
		t.Errorf("the watermark is at %s", w.Time)
	}
	c.Full = false
	c.run(t)
	c.wantAsked(t, "/Patient since=2026-02-28T02")
}

// A run begun with --full is resumed without it.
func TestChangedFiltersAfterAFailure(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", resource("Patient", 1)))
	c.run(t)
	c.Feed.Request.TypeFilters = []string{"Patient?_id=Patient-1"}
	c.Full = true
	c.then(1)
	c.asked(t)
	remove := c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.Respond(http.StatusGone, nil, "")})
	if _, err := pipeline.Run(t.Context(), c.Options); err == nil {
		t.Fatal("it did not fail")
	}
	remove()
	c.Full = false
	if report := c.run(t); !report.Resumed {
		t.Errorf("report %+v", report)
	}
	c.wantAsked(t, "", "since=2026-03-01T02") // to learn of deletes
}

// What changes at the end itself is in neither of the two exports that it divides.
func TestUntilBoundsTheWatermark(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-02-01T00:00:00Z"), updated("Patient", "2", "2026-02-02T00:00:00Z"), updated("Patient", "3", "2026-02-03T00:00:00Z")))
	c.Feed.Request.Until = time.Date(2026, 2, 2, 0, 0, 0, 999, time.UTC)
	c.run(t)
	if got := c.feed(t).Watermarks["*"].Time; got != "2026-02-01T23:59:59.999Z" {
		t.Errorf("the watermark is at %s", got)
	}
	if got := len(c.live(t)["Patient"]); got != 1 {
		t.Errorf("%d patients, want 1", got)
	}
	c.Feed.Request.Until = c.night.AddDate(1, 0, 0)
	c.Full = true // the filters changed
	c.run(t)
	c.wantMarks(t, map[string]string{"*": "01"})
}

// A transactionTime that is no step forward leaves the watermark where it is, but the rows are
// published.
func TestTransactionTimes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text any    // nil: none
		mark string // "": it stays
	}{
		"later":               {"2026-03-02T03:05:00+01:00", "2026-03-02T02:05:00.000Z"},
		"local time as UTC":   {"2026-03-02T07:00:00Z", "2026-03-02T02"}, // when the run began
		"a day ahead, nearly": {"2026-03-03T02:00:00Z", "2026-03-02T02"},
		"missing":             {nil, ""},
		"malformed":           {"2 March 2026", ""},
		"a day":               {"2026-03-02", ""},
		"without a zone":      {"2026-03-02T02:00:00", ""},
		"equal":               {"2026-03-01T03:00:00+01:00", ""},
		"older":               {"2026-02-28T02:00:00Z", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
			c.run(t)
			c.asked(t)
			c.then(1, bulktest.Lines("Patient", updated("Patient", "2", "2026-03-01T12:00:00Z")))
			remove := c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: bulktest.EditManifest(func(m map[string]any) {
				if m["transactionTime"] = test.text; test.text == nil {
					delete(m, "transactionTime")
				}
			})})
			report := c.run(t)
			remove()
			if (report.Held != "") != (test.mark == "") || report.Status != ledger.StatusPublished {
				t.Errorf("held: %q, %s", report.Held, report.Status)
			}
			if got := len(c.live(t)["Patient"]); got != 2 {
				t.Errorf("%d patients are published, want 2", got)
			}
			want := cmp.Or(test.mark, "2026-03-01T02")
			c.then(1)
			c.run(t)
			c.wantAsked(t, "since=2026-03-01T02", "since="+want)
			c.wantMarks(t, map[string]string{"*": "03"})
		})
	}
}

// A transactionTime that was in the future when the server sent it stays so, however long the
// run takes.
func TestATransactionTimeThatIsPassedMeanwhile(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: bulktest.EditManifest(func(m map[string]any) { m["transactionTime"] = "2026-03-01T04:00:00Z" })})
	c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		c.mu.Lock()
		c.night = c.night.Add(3 * time.Hour)
		c.mu.Unlock()
		next.ServeHTTP(w, r)
	}})
	c.run(t)
	c.wantMarks(t, map[string]string{"*": "01T02:00:00Z"})
}

// A transactionTime that is years ahead would make every later version of a resource look old.
func TestATransactionTimeOfAnotherAge(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: bulktest.EditManifest(func(m map[string]any) { m["transactionTime"] = "2099-01-01T00:00:00Z" })})
	var broken *transport.Error
	if _, err := pipeline.Run(t.Context(), c.Options); !errors.As(err, &broken) || broken.Kind != transport.Broken || !strings.Contains(err.Error(), "ahead of this machine's clock") {
		t.Errorf("error %v", err)
	}
	c.wantUnseen(t)
	c.run(t)
	c.wantMarks(t, map[string]string{"*": "01"})
}

// A full run that is due is not repeated every night because the server reports errors.
func TestServerErrorsDoNotMakeEveryNightFull(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", resource("Patient", 1)))
	c.Feed.FullEvery = 30 * 24 * time.Hour
	c.run(t)
	c.errored = bulktest.Files{bulktest.Lines("OperationOutcome", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing"}]}`)}
	for _, want := range []ledger.Kind{ledger.KindFull, ledger.KindIncremental} {
		c.then(30)
		if want == ledger.KindIncremental {
			c.then(-29)
		}
		if report := c.run(t); report.Kind != want || report.Held == "" {
			t.Errorf("%s, held: %q, want %s", report.Kind, report.Held, want)
		}
	}
}

func TestServerErrorsHoldTheWatermark(t *testing.T) {
	t.Parallel()
	outcome := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing"}]}`
	for allowed, mark := range map[int64]string{0: "01", 1: "01", 2: "02"} {
		c := newClinic(t, bulktest.Lines("Patient", resource("Patient", 1)))
		c.Feed.MaxErrors = allowed
		c.run(t)
		c.then(1)
		c.errored = bulktest.Files{bulktest.Lines("OperationOutcome", outcome, outcome)}
		report := c.run(t)
		if report.Status != ledger.StatusPartial || (report.Held != "") != (mark == "01") {
			t.Errorf("with %d errors allowed: %s, held: %q", allowed, report.Status, report.Held)
		}
		c.wantMarks(t, map[string]string{"*": mark})
	}
}

func TestQuarantineWithinLimitsMovesTheWatermark(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", resource("Patient", 1), `{"id":"no type"}`))
	c.MaxQuarantined = 0.5
	if report := c.run(t); report.Status != ledger.StatusPartial || report.Held != "" || report.Quarantined != 1 {
		t.Errorf("%s, held: %q, %d quarantined", report.Status, report.Held, report.Quarantined)
	}
	c.wantMarks(t, map[string]string{"*": "01"})
}

// A sink that does not hold what the watermarks are about never gets just the changes since, but
// everything.
func TestAnotherSinkIsNotBroughtUpToDate(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
	c.State = c.dir
	c.run(t)
	other, err := sink.OpenDir(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c.Sink = other
	c.then(1, bulktest.Lines("Patient", updated("Patient", "2", "2026-03-02T01:00:00Z")))
	c.asked(t)
	var wrong *sink.Error
	if _, err := pipeline.Run(t.Context(), c.Options); !errors.As(err, &wrong) || !strings.Contains(wrong.Hint, "--full") || len(c.asked(t)) > 0 {
		t.Errorf("error %v", err)
	}
	// A run that had begun before is not resumed there either.
	c.Sink = c.dir
	c.cutOff(t, 1)
	c.Sink = other
	if _, err := pipeline.Run(t.Context(), c.Options); !errors.As(err, &wrong) {
		t.Errorf("resumed: error %v", err)
	}
	c.Full = true
	if report := c.run(t); report.Kind != ledger.KindFull {
		t.Errorf("%s", report.Kind)
	}
	c.Full = false
	c.then(1)
	c.run(t)
}

// A run that brought only bad lines says nothing about the sink.
func TestALastRunWithoutPartsSaysNothingOfTheSink(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
	c.State, c.MaxQuarantined = c.dir, 1
	c.run(t)
	c.then(1, bulktest.Lines("Patient", `{"id":"no type"}`))
	if report := c.run(t); len(report.Parts) > 0 || report.Quarantined == 0 {
		t.Fatalf("%d parts, %d quarantined", len(report.Parts), report.Quarantined)
	}
	other, err := sink.OpenDir(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c.Sink = other
	c.then(1)
	if _, err := pipeline.Run(t.Context(), c.Options); err == nil {
		t.Error("another sink was brought up to date")
	}
}
