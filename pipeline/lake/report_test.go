package lake_test

import (
	"errors"
	"io/fs"
	"testing"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// Anything that is not the run's report is damaged, even if it is JSON.
func TestDamagedReport(t *testing.T) {
	t.Parallel()
	dir, err := sink.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	l := lake.Lake{Parts: dir, State: dir}
	for content, damaged := range map[string]bool{`{"run":"r1"}`: false, `{bad`: true, `{}`: true, `null`: true, `{"run":"r2"}`: true} {
		if err := dir.Put(t.Context(), lake.ReportKey("r1"), []byte(content)); err != nil {
			t.Fatal(err)
		}
		_, err := l.Report(t.Context(), "r1")
		if _, got := errors.AsType[*ledger.DamagedError](err); got != damaged || !damaged && err != nil {
			t.Errorf("%s: %v", content, err)
		}
	}
	if _, err := l.Report(t.Context(), "r2"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
