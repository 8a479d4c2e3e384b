package pipeline_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
)

// A full export that lacks members does not take them out of the live rows with the older runs.
// Only a second one, requested as such, is believed.
func TestOlderRunsOutliveAShortFullExport(t *testing.T) {
	t.Parallel()
	for name, compact := range map[string]bool{"as published": false, "compacted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := bulktest.Lines("Patient", resources("Patient", 0, 3)...)
			one := bulktest.Lines("Patient", resources("Patient", 0, 1)...)
			c := newClinic(t, all)
			c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 48*time.Hour
			c.run(t)
			c.then(1, all)
			c.run(t)
			if compact {
				if _, err := pipeline.Compact(t.Context(), c.Options, pipeline.CompactOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			before := len(c.feed(t).Runs)
			for range 2 { // a schedule is no confirmation
				c.then(2, one)
				report, err := pipeline.Run(t.Context(), c.Options)
				partial, ok := errors.AsType[*pipeline.PartialError](err)
				if !ok || partial.OlderKept == "" || report.OlderKept != partial.OlderKept || report.Kind != ledger.KindFull || report.Held != "" {
					t.Fatalf("error %v, report %+v", err, report)
				}
				if !strings.HasPrefix(report.OlderKept, "the export has 1 Patient resource, more than a tenth fewer than the 3") {
					t.Errorf("it says %s", report.OlderKept)
				}
			}
			c.gc(t, noGrace)
			if runs := c.feed(t).Runs; len(runs) != before+2 {
				t.Fatalf("%d runs are live: %+v", len(runs), runs)
			}
			c.Full = true
			if report := c.run(t); report.Status != ledger.StatusPublished || report.OlderKept != "" {
				t.Errorf("it was not confirmed: %+v", report)
			}
			if runs := c.feed(t).Runs; len(runs) != 1 {
				t.Errorf("%d runs are live: %+v", len(runs), runs)
			}
			c.verify(t)
		})
	}
}

// What a full export may lack.
func TestAFullExportThatIsLongEnough(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(c *clinic)
		now    int // of twenty patients
	}{
		"a tenth fewer": {now: 18},
		"other filters": {now: 1, change: func(c *clinic) { c.Feed.Request.Elements = []string{"id"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, bulktest.Lines("Patient", resources("Patient", 0, 20)...))
			c.Feed.Keep.Runs = 1
			c.run(t)
			c.then(1, bulktest.Lines("Patient", resources("Patient", 0, tt.now)...))
			if tt.change != nil {
				tt.change(c)
			}
			c.Full = true
			if report := c.run(t); report.OlderKept != "" || len(c.feed(t).Runs) != 1 {
				t.Errorf("%d runs are live, report %+v", len(c.feed(t).Runs), report)
			}
		})
	}
}
