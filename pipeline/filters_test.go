package pipeline_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

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
