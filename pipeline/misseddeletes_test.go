package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
)

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
