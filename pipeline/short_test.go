package pipeline_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk"
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
			all := bulktest.Lines("Patient", resources("Patient", 0, 4)...)
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
				if !strings.HasPrefix(report.OlderKept, "the export lacks resources that are live: 3 of 4 Patient") {
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
		change   func(c *clinic)
		was, now int // patients
		held     bool
	}{
		"a tenth fewer":              {was: 40, now: 36},
		"more than a tenth fewer":    {was: 40, now: 35, held: true},
		"other filters":              {was: 20, now: 1, change: func(c *clinic) { c.Feed.Request.Elements = []string{"id"} }},
		"two fewer of a small type":  {was: 9, now: 7},
		"three fewer of a small one": {was: 9, now: 6, held: true},
		"one that was the only one":  {was: 1, now: 0, held: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := func(patients int) []bulktest.File {
				return []bulktest.File{bulktest.Lines("Patient", resources("Patient", 0, patients)...), bulktest.Lines("Basic", resource("Basic", 0))}
			}
			c := newClinic(t, data(tt.was)...)
			c.Feed.Keep.Runs = 1
			c.run(t)
			c.then(1, data(tt.now)...)
			if tt.change != nil {
				tt.change(c)
			}
			c.Full = true
			if report := c.run(t); (report.OlderKept != "") != tt.held || (len(c.feed(t).Runs) == 2) != tt.held {
				t.Errorf("%d runs are live, report %+v", len(c.feed(t).Runs), report)
			}
		})
	}
}

// A short full export is noticed although the run also asks for changes, and gets the same
// resources once more. A resumed run does not know which have come twice.
func TestAShortFullExportThatIsResumed(t *testing.T) {
	t.Parallel()
	patients := func(n int) bulktest.File {
		var lines []string
		for i := range n {
			lines = append(lines, updated("Patient", strconv.Itoa(i), "2026-03-02T00:00:00Z"))
		}
		return bulktest.Lines("Patient", lines...)
	}
	c := newClinic(t, patients(10))
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
	c.run(t)
	c.then(2, patients(5))
	c.cutOff(t, 1)
	report := c.run(t)
	if !report.Resumed || report.Resources != 10 || !strings.HasPrefix(report.OlderKept, "the export lacks resources that are live: 5 of 10 Patient") {
		t.Errorf("resumed: %v, %d resources, older runs kept: %q", report.Resumed, report.Resources, report.OlderKept)
	}
}

// What came twice, from two groups, is not missed once it comes from one.
func TestAFullExportWithoutWhatCameTwice(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for n := range 20 {
		fmt.Fprintf(&all, " Patient-%d", n)
	}
	c := newClinic(t, bulktest.Lines("Patient", resources("Patient", 0, 20)...), groupsOf("a:"+all.String(), "b:"+all.String()))
	c.Feed.Request.Level, c.Feed.Groups, c.Feed.IgnoreNewMembers = bulk.Group, []string{"a", "b"}, true
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
	c.cutOff(t, 1)
	if report := c.run(t); !report.Resumed || report.Resources != 40 {
		t.Fatalf("resumed: %v, %d resources", report.Resumed, report.Resources)
	}
	c.Feed.Groups = []string{"a"}
	c.then(2)
	if report := c.run(t); report.OlderKept != "" || report.Resources != 20 {
		t.Errorf("%d resources, older runs kept: %q", report.Resources, report.OlderKept)
	}
}

// A full run that was requested, and is resumed by one that was only scheduled, still confirms
// what an earlier one found.
func TestAConfirmationThatIsResumed(t *testing.T) {
	t.Parallel()
	data := func(patients int) []bulktest.File {
		return []bulktest.File{bulktest.Lines("Patient", resources("Patient", 0, patients)...), bulktest.Lines("Basic", resource("Basic", 0))}
	}
	c := newClinic(t, data(10)...)
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
	c.run(t)
	c.then(2, data(5)...)
	if report := c.run(t); report.OlderKept == "" {
		t.Fatalf("the export is not short: %+v", report)
	}
	c.then(2)
	c.Full = true
	c.cutOff(t, 1)
	c.Full = false
	if report := c.run(t); !report.Resumed || report.OlderKept != "" || len(c.feed(t).Runs) != 1 {
		t.Errorf("resumed: %v, older runs kept: %q", report.Resumed, report.OlderKept)
	}
}

// A run that exported everything for its new members may be short too. One full run confirms it.
func TestOlderRunsOutliveShortExportsOfNewMembers(t *testing.T) {
	t.Parallel()
	data := func(from, to int) []bulktest.File {
		var members strings.Builder
		for n := from; n < to; n++ {
			fmt.Fprintf(&members, " Patient-%d", n)
		}
		return []bulktest.File{bulktest.Lines("Patient", resources("Patient", 0, 20)...), groupsOf("a:" + members.String())}
	}
	c := newClinic(t, data(0, 10)...)
	refusePost(c)
	c.Feed.Request.Level, c.Feed.Groups, c.Feed.Keep.Runs = bulk.Group, []string{"a"}, 1
	c.Feed.Request.Types = []string{"Patient"}
	c.run(t)
	c.then(1, data(8, 13)...)
	if report := c.run(t); report.Kind != ledger.KindIncremental || report.OlderKept == "" {
		t.Fatalf("the export is not short: %+v", report)
	}
	c.then(1)
	c.Full = true
	if report := c.run(t); report.OlderKept != "" || len(c.feed(t).Runs) != 1 {
		t.Errorf("%d runs are live, older runs kept: %q", len(c.feed(t).Runs), report.OlderKept)
	}
}
