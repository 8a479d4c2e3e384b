package pipeline_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/transport"
)

// An export that fails after it told of files is requested again. Nothing of it is kept.
func TestAnExportThatFailsHalfWay(t *testing.T) {
	t.Parallel()
	for _, partBytes := range []int64{0, 1} { // whole files at the end, or parts at once
		w := newWorld(t, bulktest.Options{Data: bulktest.Files{
			bulktest.Lines("Patient", resources("Patient", 0, 1000)...), bulktest.Lines("Observation", resources("Observation", 0, 1000)...),
		}})
		w.PartBytes, w.RowGroupBytes = partBytes, 20_000
		_, remove := tellEarly(t, w, 2, bulktest.Outcome(http.StatusInternalServerError, "processing", "the job failed"))
		if _, err := pipeline.Run(t.Context(), w.Options); !isKind(transport.Refused)(err) {
			t.Fatalf("error %v", err)
		}
		w.wantUnseen(t)
		remove()
		report, err := pipeline.Run(t.Context(), w.Options)
		if err != nil {
			t.Fatal(err)
		}
		if rows := w.published(t); len(rows["Patient"]) != 1000 || len(rows["Observation"]) != 1000 || report.Resources != 2000 {
			t.Errorf("%d and %d rows, %d resources in the report", len(rows["Patient"]), len(rows["Observation"]), report.Resources)
		}
		if got := w.kickOffs(); got != 2 {
			t.Errorf("the server saw %d kick-offs, want 2", got)
		}
		w.wantTidy(t)
	}
}

// Of several exports, one fails halfway. Only that one is requested again, and what was in parts
// and in quarantine of it is no longer in either.
func TestOneOfSeveralExportsFailsHalfWay(t *testing.T) {
	t.Parallel()
	var others strings.Builder
	for n := 1; n < 1000; n++ {
		fmt.Fprintf(&others, " Patient-%d", n)
	}
	c := newClinic(t, bulktest.Lines("Patient", resources("Patient", 0, 1000)...), groupsOf("a: Patient-0", "b:"+others.String()))
	c.Feed.Request.Level, c.Feed.Groups, c.Feed.IgnoreNewMembers = bulk.Group, []string{"a", "b"}, true
	c.PartBytes, c.RowGroupBytes, c.MaxQuarantined = 1, 20_000, 0.5
	c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Skip: 1, Do: bulktest.EditBody(func(b []byte) []byte {
		return append([]byte(`{"id":"no type"}`), b[bytes.IndexByte(b, '\n'):]...)
	})})
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Skip: 1, Times: bulktest.Always, Do: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		switch {
		case c.kickOffs() > 2: // the one that is requested again
			next.ServeHTTP(rw, r)
		case c.ledgersHold(t, `"quarantine":[`):
			bulktest.Outcome(http.StatusInternalServerError, "processing", "the job failed")(rw, r, next)
		default:
			bulktest.EditHead(func(_ int, h http.Header) int {
				h.Set("Retry-After", "0")
				return http.StatusAccepted
			})(rw, r, next)
		}
	}})
	if _, err := pipeline.Run(t.Context(), c.Options); !isKind(transport.Refused)(err) {
		t.Fatalf("error %v", err)
	}
	c.wantUnseen(t)
	report := c.run(t)
	if !report.Resumed || report.Quarantined != 0 || len(report.Quarantine) > 0 || report.Resources != 1000 {
		t.Errorf("resumed: %v; %d resources, and %d in quarantine files %q", report.Resumed, report.Resources, report.Quarantined, report.Quarantine)
	}
	if diff := cmp.Diff(resources("Patient", 0, 1000), c.published(t)["Patient"]); diff != "" {
		t.Errorf("published (-want +got):\n%.2000s", diff)
	}
	c.wantAsked(t, "/Group/a", "/Group/b", "/Group/b")
	c.wantTidy(t)
}

// A history export that fails halfway leaves nothing staged in the run that goes on without it.
func TestAHistoryFailsHalfWay(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1 2")
	c.run(t)
	c.then(1, practice("a: 1 2 3")...)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a")
	c.PartBytes = 1
	before := c.kickOffs()
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Skip: 1, Times: bulktest.Always, Do: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		switch {
		case c.kickOffs() > before+2:
			next.ServeHTTP(rw, r)
		case c.ledgersHold(t, `"staged":`):
			bulktest.Outcome(http.StatusInternalServerError, "processing", "the job failed")(rw, r, next)
		default:
			bulktest.EditHead(func(_ int, h http.Header) int {
				h.Set("Retry-After", "0")
				return http.StatusAccepted
			})(rw, r, next)
		}
	}})
	wantMembers(t, c.run(t), 3, 1, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a patient=Patient/3", "/Group/a", "/Group/a since=2026-03-01T02")
	c.wantRows(t, "1", "2", "c1", "c2", "1", "2", "3", "c1", "c2", "c3")
	c.wantTidy(t)
}
