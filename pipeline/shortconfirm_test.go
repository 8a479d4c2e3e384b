package pipeline_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
)

// The last full run found everything, but was partial for another reason.
func TestConfirmingAcrossAPartialFullRun(t *testing.T) {
	t.Parallel()
	c := newClinic(t, patients(0, 40))
	c.Feed.Keep.Runs, c.Feed.FullEvery, c.MaxQuarantined = 1, 24*time.Hour, 0.5
	c.run(t)
	c.then(2, patients(0, 10))
	if report := c.run(t); report.OlderKept == "" {
		t.Fatal("not held")
	}
	c.then(2, bulktest.Lines("Patient", append([]string{`{"id":"no type","meta":{"lastUpdated":"2026-01-01T00:00:00Z"}}`}, resources("Patient", 0, 400)...)...))
	if report := c.run(t); report.Quarantined == 0 || report.OlderKept != "" {
		t.Fatalf("%+v", report)
	}
	c.then(2, patients(0, 10))
	c.Full = true
	report := c.run(t)
	if n := c.ids(t, "Patient"); n < 400 {
		t.Errorf("%s: %d of 400 patients are live, older runs kept: %q", report.Status, n, report.OlderKept)
	}
}

// Between the run that was held and the one that confirms it, much more came.
func TestConfirmingWhatNobodyWasToldOf(t *testing.T) {
	t.Parallel()
	c := newClinic(t, patients(0, 40))
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 48*time.Hour
	c.run(t)
	c.then(2, patients(0, 10))
	report := c.run(t)
	if !strings.Contains(report.OlderKept, "30 of 40 Patient") {
		t.Fatalf("%q", report.OlderKept)
	}
	var more []string
	for n := range 400 {
		more = append(more, updated("Patient", "new-"+strconv.Itoa(n), "2026-03-03T12:00:00Z"))
	}
	c.then(1, bulktest.Lines("Patient", append(more, resources("Patient", 0, 10)...)...))
	if report := c.run(t); report.Kind != "incremental" {
		t.Fatal(report.Kind)
	}
	if n := c.ids(t, "Patient"); n != 440 {
		t.Fatalf("%d are live", n)
	}
	c.then(1, patients(0, 10)) // the server loses them again
	c.Full = true
	report = c.run(t)
	if n := c.ids(t, "Patient"); n < 440 {
		t.Errorf("%s: %d of 440 patients are live, older runs kept: %q", report.Status, n, report.OlderKept)
	}
}

// Nobody was told that the first run was short: it could not be compared.
func TestConfirmingWhatWasNotCompared(t *testing.T) {
	t.Parallel()
	c := newClinic(t, patients(0, 40))
	c.Feed.Keep.Runs, c.Feed.FullEvery, c.State = 1, 24*time.Hour, c.dir
	c.run(t)
	c.then(2, patients(0, 10))
	c.Sink = unreadable{c.dir} // say, the store answers 503 for a minute
	if report := c.run(t); !strings.Contains(report.OlderKept, "cannot be compared") {
		t.Fatalf("%q", report.OlderKept)
	}
	c.Sink = c.dir
	c.then(1)
	c.Full = true
	report := c.run(t)
	if n := c.ids(t, "Patient"); n < 40 {
		t.Errorf("%s: %d of 40 patients are live, older runs kept: %q", report.Status, n, report.OlderKept)
	}
}

// A full run that no guard looked at, since keep_runs was not set, or since an older version made
// it, drops the older runs at the next incremental run with keep_runs.
func TestKeepRunsSetAfterAShortFullRun(t *testing.T) {
	t.Parallel()
	c := newClinic(t, patients(0, 40))
	c.Feed.FullEvery = 48 * time.Hour
	c.run(t)
	c.then(2, patients(0, 10))
	if report := c.run(t); report.Kind != "full" || report.OlderKept != "" {
		t.Fatalf("%+v", report)
	}
	c.Feed.Keep.Runs = 1 // "set it before the next --full" (docs/payers.md)
	c.then(1)
	report := c.run(t)
	if n := c.ids(t, "Patient"); n < 40 {
		t.Errorf("%s %s: %d of 40 patients are live, older runs kept: %q", report.Kind, report.Status, n, report.OlderKept)
	}
}

// --full that resumes a scheduled run, and is cut off itself, is forgotten.
func TestConfirmingByARunThatIsResumedTwice(t *testing.T) {
	t.Parallel()
	data := func(n int) []bulktest.File {
		return []bulktest.File{patients(0, n), bulktest.Lines("Basic", resource("Basic", 0))}
	}
	c := newClinic(t, data(10)...)
	c.Workers = 1
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
	c.run(t)
	c.then(2, data(5)...)
	if report := c.run(t); report.OlderKept == "" {
		t.Fatal("not held")
	}
	c.then(2)
	c.cutOff(t, 1) // scheduled
	c.Full = true
	c.cutOff(t, 1) // requested
	c.Full = false
	if report := c.run(t); !report.Resumed || report.OlderKept != "" {
		t.Errorf("resumed: %v, older runs kept: %q", report.Resumed, report.OlderKept)
	}
}

// What a full run lacked without being short was not reported as a reason to keep anything.
func TestConfirmingAFullRunThatWasNotShort(t *testing.T) {
	t.Parallel()
	c := newClinic(t, patients(0, 40))
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
	c.run(t)
	c.then(2, patients(0, 36))
	if report := c.run(t); report.OlderKept != "" {
		t.Fatal(report.OlderKept)
	}
	c.then(1, patients(0, 29))
	c.Full = true
	if report := c.run(t); !strings.Contains(report.OlderKept, "7 of 36 Patient") {
		t.Errorf("%s: older runs kept: %q", report.Status, report.OlderKept)
	}
}
