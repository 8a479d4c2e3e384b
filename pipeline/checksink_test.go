package pipeline_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// A sink that does not hold what the watermarks are about never gets just the changes since, but
// everything.
func TestAnotherSinkIsNotBroughtUpToDate(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
	c.State = c.dir
	c.run(t)
	other, err := sink.OpenDir(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c.Sink = other
	c.then(1, bulktest.Lines("Patient", updated("Patient", "2", "2026-03-02T01:00:00Z")))
	c.asked(t)
	var wrong *sink.Error
	if _, err := pipeline.Run(t.Context(), c.Options); !errors.As(err, &wrong) || !strings.Contains(wrong.Hint, "--full") || len(c.asked(t)) > 0 {
		t.Errorf("error %v", err)
	}
	// A run that had begun before is not resumed there either.
	c.Sink = c.dir
	c.cutOff(t, 1)
	c.Sink = other
	if _, err := pipeline.Run(t.Context(), c.Options); !errors.As(err, &wrong) {
		t.Errorf("resumed: error %v", err)
	}
	c.Full = true
	if report := c.run(t); report.Kind != ledger.KindFull {
		t.Errorf("%s", report.Kind)
	}
	c.Full = false
	c.then(1)
	c.run(t)
}

// A run that brought only bad lines says nothing about the sink.
func TestALastRunWithoutPartsSaysNothingOfTheSink(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
	c.State, c.MaxQuarantined = c.dir, 1
	c.run(t)
	c.then(1, bulktest.Lines("Patient", `{"id":"no type"}`))
	if report := c.run(t); len(report.Parts) > 0 || report.Quarantined == 0 {
		t.Fatalf("%d parts, %d quarantined", len(report.Parts), report.Quarantined)
	}
	other, err := sink.OpenDir(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c.Sink = other
	c.then(1)
	if _, err := pipeline.Run(t.Context(), c.Options); err == nil {
		t.Error("another sink was brought up to date")
	}
}
