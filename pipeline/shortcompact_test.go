package pipeline_test

import (
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
)

// A compaction of a full run of some types, and of changes in another type, is no full run of
// that other type.
func TestCompactionCoversTypesOfWhichItHasChangesOnly(t *testing.T) {
	t.Parallel()
	coverages := resources("Coverage", 0, 40)
	c := newClinic(t, patients(0, 10), bulktest.Lines("Coverage", coverages...))
	c.Feed.Keep.Runs, c.Full = 1, true
	c.run(t)
	c.Feed.Request.Types = []string{"Patient"}
	c.then(1)
	c.run(t)
	c.Feed.Request.Types, c.Full = nil, false
	c.then(1, bulktest.Lines("Patient", append(resources("Patient", 1, 10), updated("Patient", "Patient-0", "2026-03-02T12:00:00Z"))...),
		bulktest.Lines("Coverage", append(coverages[1:], updated("Coverage", "Coverage-0", "2026-03-02T12:00:00Z"))...))
	if report := c.run(t); report.Kind != "incremental" {
		t.Fatal(report.Kind)
	}
	c.gc(t, noGrace)
	if n := c.ids(t, "Coverage"); n != 40 {
		t.Fatalf("%d are live", n)
	}
	if done, err := pipeline.Compact(t.Context(), c.Options, pipeline.CompactOptions{}); err != nil || len(done.Runs) != 1 {
		t.Fatalf("%+v, error %v", done, err)
	}
	if n := c.ids(t, "Coverage"); n != 40 {
		t.Fatalf("%d are live after compaction", n)
	}
	c.gc(t, noGrace)
	if n := c.ids(t, "Coverage"); n != 40 {
		t.Errorf("%d of 40 Coverages are live after compact and gc; live runs: %+v", n, c.feed(t).Runs)
	}
}

// The same for a run that was held: once it is in a compaction with a full one, its types count
// as covered.
func TestCompactionCoversTypesOfARunThatWasHeld(t *testing.T) {
	t.Parallel()
	changed := func(n int, when string) bulktest.File {
		return bulktest.Lines("Patient", append(resources("Patient", 1, 10), updated("Patient", "Patient-0", when))...)
	}
	c := newClinic(t, patients(0, 10), bulktest.Lines("Coverage", resources("Coverage", 0, 40)...))
	c.Feed.Keep.Runs, c.Full = 1, true
	c.run(t) // all types
	c.Feed.Request.Types = []string{"Patient"}
	c.then(1)
	c.run(t) // the patients
	c.Feed.Request.Types = nil
	c.then(1, patients(0, 10), bulktest.Lines("Coverage", resources("Coverage", 0, 1)...))
	if report := c.run(t); !strings.Contains(report.OlderKept, "39 of 40 Coverage") { // all types, short of Coverage
		t.Fatalf("%q", report.OlderKept)
	}
	c.Full = false
	c.then(1, changed(0, "2026-03-03T12:00:00Z"))
	c.run(t)
	for range 2 {
		if _, err := pipeline.Compact(t.Context(), c.Options, pipeline.CompactOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.ids(t, "Coverage"); n != 40 {
		t.Fatalf("%d are live after compaction", n)
	}
	c.gc(t, noGrace)
	if n := c.ids(t, "Coverage"); n != 40 {
		t.Errorf("%d of 40 Coverages are live after compact and gc, though the short run was never confirmed", n)
	}
}

// A compaction of runs with different filters is compared with nothing, not even as far as its
// runs have this run's filters.
func TestCompactionOfOtherFiltersIsNotCompared(t *testing.T) {
	t.Parallel()
	for name, compactions := range map[string]int{"control": 0, "compacted": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := func(when string) bulktest.File {
				return bulktest.Lines("Patient", append(resources("Patient", 1, 40), updated("Patient", "Patient-0", when))...)
			}
			c := newClinic(t, patients(0, 40))
			c.Feed.Keep.Runs, c.MaxQuarantined = 1, 0.5
			c.run(t)
			c.Feed.Request.Elements, c.Full = []string{"id", "meta"}, true
			c.then(1, bulktest.Lines("Patient", append([]string{`{"id":"no type","meta":{"lastUpdated":"2026-01-01T00:00:00Z"}}`}, resources("Patient", 0, 40)...)...))
			if report := c.run(t); report.Quarantined != 1 { // so the first run stays
				t.Fatalf("%+v", report)
			}
			c.Full = false
			c.then(1, changed("2026-03-02T12:00:00Z"))
			c.run(t)
			for range compactions {
				if _, err := pipeline.Compact(t.Context(), c.Options, pipeline.CompactOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d live runs", len(c.feed(t).Runs))
			c.then(1, patients(0, 1))
			c.Full = true
			report := c.run(t)
			if n := c.ids(t, "Patient"); n < 40 {
				t.Errorf("%s: %d of 40 patients are live, older runs kept: %q", report.Status, n, report.OlderKept)
			}
		})
	}
}
