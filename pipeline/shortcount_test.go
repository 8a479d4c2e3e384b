package pipeline_test

import (
	"fmt"
	"testing"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline/ledger"
)

// Groups that share patients bring them twice. A run that did not count them, since it had no
// keep_runs, is no reason for an alarm at every full run after it.
func TestNotShortOfWhatCameTwice(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", resources("Patient", 0, 20)...), groupsOf("a:"+members(0, 20), "b:"+members(0, 20)))
	c.Feed.Request.Level, c.Feed.Groups, c.Feed.IgnoreNewMembers = bulk.Group, []string{"a", "b"}, true
	c.Feed.Request.Types = []string{"Patient"}
	c.Feed.FullEvery = 24 * time.Hour
	c.cutOff(t, 1)
	if report := c.run(t); !report.Resumed || report.Resources != 40 { // as in a run of more than 3 M resources
		t.Fatalf("%d resources", report.Resources)
	}
	c.Feed.Keep.Runs = 1
	for night := range 3 {
		c.then(2)
		if report := c.run(t); report.OlderKept != "" {
			t.Errorf("full run %d: the same %d rows, but %q", night+1, report.Resources, report.OlderKept)
		}
	}
}

// Several versions of a resource are one resource, whether the run was resumed or not.
func TestVersionsOfAResourceCountOnce(t *testing.T) {
	t.Parallel()
	versions := func(n int) bulktest.File {
		var lines []string
		for i := range n {
			for v := range 2 {
				lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","id":"%d","meta":{"versionId":"%d","lastUpdated":"2026-01-02T03:04:05.678Z"}}`, i, v))
			}
		}
		return bulktest.Lines("Patient", lines...)
	}
	t.Run("false alarm", func(t *testing.T) {
		t.Parallel()
		c := newClinic(t, versions(10))
		c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
		c.run(t)
		c.then(2)
		c.cutOff(t, 1)
		if report := c.run(t); report.OlderKept != "" {
			t.Errorf("nothing is missing, but: %q", report.OlderKept)
		}
	})
	t.Run("missed", func(t *testing.T) {
		t.Parallel()
		c := newClinic(t, versions(10))
		c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
		c.cutOff(t, 1)
		c.run(t)
		c.then(2, versions(5))
		report := c.run(t)
		if report.OlderKept == "" {
			t.Errorf("half of the patients are missing, and %d rows are live: %s", len(c.live(t)["Patient"]), report.Status)
		}
	})
}

// Nothing tells rows without an id apart, so each counts.
func TestRowsWithoutAnIDCount(t *testing.T) {
	t.Parallel()
	data := func(n int) bulktest.File {
		lines := []string{resource("Basic", 0)}
		for i := range n {
			lines = append(lines, fmt.Sprintf(`{"resourceType":"Basic","language":"de","n":%d}`, i))
		}
		return bulktest.Lines("Basic", lines...)
	}
	t.Run("missed", func(t *testing.T) {
		t.Parallel()
		c := newClinic(t, data(40))
		c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
		c.cutOff(t, 1)
		c.run(t)
		before := len(c.live(t)["Basic"])
		c.then(2, data(1))
		report := c.run(t)
		if n := len(c.live(t)["Basic"]); n < before {
			t.Errorf("%s: %d of %d rows are live, older runs kept: %q", report.Status, n, before, report.OlderKept)
		}
	})
	t.Run("false alarm", func(t *testing.T) {
		t.Parallel()
		c := newClinic(t, data(40))
		c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
		c.run(t)
		c.then(2)
		c.cutOff(t, 1)
		if report := c.run(t); report.OlderKept != "" {
			t.Errorf("nothing is missing, but: %q", report.OlderKept)
		}
	})
}

// A requested full run that is cut off, and whose export the server has lost, starts over in full.
func TestARequestedFullRunWhoseExportIsGone(t *testing.T) {
	t.Parallel()
	data := func(n int) []bulktest.File {
		return []bulktest.File{bulktest.Lines("Patient", resources("Patient", 0, n)...), bulktest.Lines("Basic", resource("Basic", 0))}
	}
	c := newClinic(t, data(10)...)
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 30*24*time.Hour
	c.run(t)
	c.then(31, data(5)...)
	if report := c.run(t); report.OlderKept == "" {
		t.Fatal("the export is not short")
	}
	c.then(1)
	c.Full = true
	heal, again := c.stopWaiting(t)
	again()
	heal()
	c.Full = false
	// The server has forgotten its export.
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: bulktest.Respond(410, nil, "")})
	report := c.run(t)
	if report.Kind != ledger.KindFull || report.OlderKept != "" {
		t.Errorf("the run was requested in full, but is %s; older runs kept: %q; log:\n%s", report.Kind, report.OlderKept, c.logs)
	}
}

// docs/running.md has this way out.
func TestTheWayOutOfARefusedRetirement(t *testing.T) {
	t.Parallel()
	g := func(n int) []bulktest.File {
		return []bulktest.File{bulktest.Lines("Patient", resources("Patient", 0, n)...), groupsOf("a:"+members(0, n), "b:"+members(0, n))}
	}
	c := newClinic(t, g(40)...)
	c.Feed.Request.Level, c.Feed.Groups, c.Feed.IgnoreNewMembers = bulk.Group, []string{"a", "b"}, true
	c.Feed.Request.Types = []string{"Patient"}
	c.Feed.Retire, c.Feed.FullEvery = true, 24*time.Hour
	c.run(t)
	c.then(2, g(20)...)
	c.cutOff(t, 1)
	if report := c.run(t); report.Retired == nil || !report.Retired.Refused || report.OlderKept != "" {
		t.Fatalf("%+v", report.Retired)
	}
	c.then(1)
	c.Full, c.Feed.Retire, c.Feed.Keep.Runs = true, false, 1
	if report := c.run(t); report.OlderKept != "" || len(c.feed(t).Runs) != 1 {
		t.Errorf("%d runs are live, older runs kept: %q", len(c.feed(t).Runs), report.OlderKept)
	}
}

// What the server says is deleted is not missing, unless it came again later.
func TestDeletedResourcesAreNotMissing(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", resources("Patient", 0, 20)...))
	c.Feed.Keep.Runs, c.Feed.FullEvery = 10, 36*time.Hour
	c.run(t)
	var gone []string
	for n := 10; n < 20; n++ {
		gone = append(gone, fmt.Sprintf(`{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/Patient-%d"}}]}`, n))
	}
	c.deleted = bulktest.Files{bulktest.Lines("Bundle", gone...)}
	c.then(1, bulktest.Lines("Patient", resources("Patient", 0, 10)...))
	c.run(t)
	c.deleted = nil
	c.then(1)
	if report := c.run(t); report.Kind != ledger.KindFull || report.OlderKept != "" {
		t.Errorf("the %s run has ten of ten patients, older runs kept: %q", report.Kind, report.OlderKept)
	}
	c.then(2, bulktest.Lines("Patient", resources("Patient", 0, 20)...))
	c.run(t)
	c.then(2, bulktest.Lines("Patient", resources("Patient", 0, 10)...))
	if report := c.run(t); report.OlderKept == "" {
		t.Error("ten of twenty patients are missing, and the older runs are not kept")
	}
}
