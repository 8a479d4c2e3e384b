package pipeline_test

import (
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline/ledger"
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
