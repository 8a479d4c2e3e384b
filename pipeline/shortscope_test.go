package pipeline_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
)

// members lists patients as groupsOf wants them.
func members(from, to int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		fmt.Fprintf(&b, " Patient-%d", n)
	}
	return b.String()
}

// Retiring leaves runs of other groups alone, but keep_runs would drop them.
func TestShortOfGroupsThatAreNotRetired(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", resources("Patient", 0, 40)...), groupsOf("a:"+members(0, 20), "b:"+members(20, 40)))
	c.Feed.Request.Level, c.Feed.Groups, c.Feed.IgnoreNewMembers = bulk.Group, []string{"a", "b"}, true
	c.Feed.Request.Types = []string{"Patient"}
	c.Feed.Keep.Runs, c.Feed.Retire = 1, true
	c.run(t)
	c.then(2, bulktest.Lines("Patient", resources("Patient", 0, 1)...), groupsOf("a:"+members(0, 1)))
	c.Feed.Groups = []string{"a"} // group b has expired; and a's export is short: 1 of 20
	c.Full = true
	report := c.run(t)
	if n := len(c.live(t)["Patient"]); n < 40 {
		t.Errorf("%s: %d patients are live, older runs kept: %q", report.Status, n, report.OlderKept)
	}
}

// Types may come without being asked for, such as Provenance as associated data.
func TestShortOfTypesThatWereNotAskedFor(t *testing.T) {
	t.Parallel()
	data := func(n int) bulktest.File {
		return bulktest.Lines("Patient", append(resources("Patient", 0, 10), resources("Provenance", 0, n)...)...)
	}
	c := newClinic(t, data(40))
	c.Feed.Request.Types = []string{"Patient"}
	c.Feed.Keep.Runs = 1
	c.run(t)
	if n := len(c.live(t)["Provenance"]); n != 40 {
		t.Fatalf("%d are live", n)
	}
	c.then(2, data(1))
	c.Full = true
	report := c.run(t)
	if n := len(c.live(t)["Provenance"]); n < 40 {
		t.Errorf("%s: %d Provenances are live, older runs kept: %q", report.Status, n, report.OlderKept)
	}
}

// A type that was added to the feed later came in full with an incremental run.
func TestShortOfATypeAddedLater(t *testing.T) {
	t.Parallel()
	data := func(n int) []bulktest.File {
		return []bulktest.File{bulktest.Lines("Patient", resources("Patient", 0, 10)...), bulktest.Lines("Coverage", resources("Coverage", 0, n)...)}
	}
	c := newClinic(t, data(40)...)
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 48*time.Hour
	c.Feed.Request.Types = []string{"Patient"}
	c.run(t)
	c.Feed.Request.Types = []string{"Patient", "Coverage"}
	c.then(1)
	c.run(t)
	c.then(2, data(1)...)
	report := c.run(t)
	if n := len(c.live(t)["Coverage"]); n < 40 {
		t.Errorf("%s %s: %d Coverages are live, older runs kept: %q", report.Kind, report.Status, n, report.OlderKept)
	}
}

// The last full run was of other types, so an earlier one stayed live.
func TestShortOfATypeThatTheLastFullRunLeftOut(t *testing.T) {
	t.Parallel()
	data := func(n int) []bulktest.File {
		return []bulktest.File{bulktest.Lines("Patient", resources("Patient", 0, 10)...), bulktest.Lines("Coverage", resources("Coverage", 0, n)...)}
	}
	c := newClinic(t, data(40)...)
	c.Feed.Keep.Runs, c.Full = 1, true
	c.run(t) // all types
	c.Feed.Request.Types = []string{"Patient"}
	c.then(1)
	if report := c.run(t); report.OlderKept != "" { // only patients; the first run stays, for its Coverage
		t.Errorf("short of types that it does not have: %q", report.OlderKept)
	}
	if n := len(c.live(t)["Coverage"]); n != 40 {
		t.Fatalf("%d are live", n)
	}
	c.Feed.Request.Types = nil
	c.then(1, data(1)...)
	report := c.run(t)
	if n := len(c.live(t)["Coverage"]); n < 40 {
		t.Errorf("%s: %d Coverages are live, older runs kept: %q", report.Status, n, report.OlderKept)
	}
}

// A run that exported everything for its new members is a full one, compacted or not.
func TestShortOfAnExportOfNewMembers(t *testing.T) {
	t.Parallel()
	for name, compact := range map[string]bool{"as published": false, "compacted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := func(to int) []bulktest.File {
				return []bulktest.File{bulktest.Lines("Patient", resources("Patient", 0, 20)...), groupsOf("a:" + members(0, to))}
			}
			c := newClinic(t, data(10)...)
			refusePost(c)
			c.Feed.Request.Level, c.Feed.Groups, c.Feed.Keep.Runs = bulk.Group, []string{"a"}, 1
			c.Feed.Request.Types = []string{"Patient"}
			c.run(t)
			c.then(1, data(20)...)
			if report := c.run(t); report.Kind != ledger.KindIncremental || len(c.feed(t).Runs) != 1 || !c.feed(t).Runs[0].Full {
				t.Fatalf("%+v", c.feed(t).Runs)
			}
			c.then(1, bulktest.Lines("Patient", updated("Patient", "Patient-3", "2026-03-02T12:00:00Z")), groupsOf("a:"+members(0, 20)))
			c.run(t)
			if compact {
				if _, err := pipeline.Compact(t.Context(), c.Options, pipeline.CompactOptions{}); err != nil {
					t.Fatal(err)
				}
				if runs := c.feed(t).Runs; len(runs) != 1 || runs[0].Kind != ledger.KindCompaction || !runs[0].Full {
					t.Fatalf("%+v", runs)
				}
			}
			before := len(c.live(t)["Patient"])
			c.then(1, data(2)...)
			c.Full = true
			report := c.run(t)
			if n := len(c.live(t)["Patient"]); n < before {
				t.Errorf("%s: %d patients are live, not %d; older runs kept: %q", report.Status, n, before, report.OlderKept)
			}
		})
	}
}

// A full run confirms only what the one before it was asked for.
func TestConfirmingOtherTypes(t *testing.T) {
	t.Parallel()
	data := func(patients, coverages int) []bulktest.File {
		return []bulktest.File{bulktest.Lines("Patient", resources("Patient", 0, patients)...), bulktest.Lines("Coverage", resources("Coverage", 0, coverages)...)}
	}
	c := newClinic(t, data(40, 40)...)
	c.Feed.Keep.Runs, c.Full = 1, true
	c.run(t)
	c.Feed.Request.Types = []string{"Patient"}
	c.then(1, data(10, 40)...)
	if report := c.run(t); report.OlderKept == "" {
		t.Fatal("the export is not short")
	}
	c.Feed.Request.Types = nil
	c.then(1, data(10, 1)...)
	if report := c.run(t); !strings.Contains(report.OlderKept, "39 of 40 Coverage") {
		t.Errorf("older runs kept: %q", report.OlderKept)
	}
	c.then(1)
	if report := c.run(t); report.OlderKept != "" || len(c.feed(t).Runs) != 1 {
		t.Errorf("%d runs are live, older runs kept: %q", len(c.feed(t).Runs), report.OlderKept)
	}
}

// A full run confirms what the last one found, not what an earlier one did.
func TestConfirmingAnEarlierRun(t *testing.T) {
	t.Parallel()
	data := func(n int) bulktest.File { return bulktest.Lines("Patient", resources("Patient", 0, n)...) }
	c := newClinic(t, data(40))
	c.Feed.Keep.Runs, c.Full = 10, true
	c.run(t)
	c.then(1, data(10))
	if report := c.run(t); report.OlderKept == "" {
		t.Fatal("the export is not short")
	}
	c.then(1, data(40))
	if report := c.run(t); report.OlderKept != "" {
		t.Fatalf("nothing is missing, but: %q", report.OlderKept)
	}
	c.then(1, data(10))
	if report := c.run(t); report.OlderKept == "" {
		t.Error("a short export was taken for a confirmation of one before the last")
	}
}
