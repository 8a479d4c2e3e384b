package pipeline_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/columnar"
	"fhirkiln/pipeline"
)

// However many cores convert one large file, each of its lines is published once or put into
// quarantine once, and the report is the same.
func TestCores(t *testing.T) {
	t.Parallel()
	var lines []string
	for n := range 8000 {
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Basic","id":"%d","code":{"text":"%s"}}`, n, strings.Repeat(fmt.Sprint(n), 250)))
	}
	for n := range 7 {
		lines = slices.Insert(lines, 1000*(n+1), lines[n], "no JSON")
	}
	type outcome struct {
		Resources, Quarantined, Duplicates int64
		Rows                               []string
		Why                                string
	}
	run := func(cores int, strict bool) (o outcome) {
		t.Helper()
		w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Basic", lines...)}})
		w.Cores, w.PartBytes, w.MaxQuarantined = columnar.NewCores(cores), 100_000, 0.01
		if strict {
			w.MaxQuarantined = -1
		}
		report, err := pipeline.Run(t.Context(), w.Options)
		if quality := new(pipeline.QualityError); errors.As(err, &quality) != strict || report.Duplicates == nil && !strict {
			t.Fatalf("%d cores: %v", cores, err)
		}
		if strict {
			_, o.Why, _ = strings.Cut(err.Error(), ", line ") // without the server's port
			return o
		}
		if f := report.Files[0]; *report.Duplicates != 7 || *f.Duplicates != 7 || f.Lines != int64(len(lines)) {
			t.Errorf("%d cores: %d duplicates, in the file %d; it has %d lines", cores, *report.Duplicates, *f.Duplicates, f.Lines)
		}
		if len(report.Parts) < 2 {
			t.Errorf("%d cores: there is only one part", cores)
		}
		return outcome{report.Resources, report.Quarantined, *report.Duplicates, w.published(t)["Basic"], ""}
	}
	for _, strict := range []bool{false, true} {
		if diff := cmp.Diff(run(1, strict), run(8, strict)); diff != "" {
			t.Errorf("strict %t (-one core +eight):\n%.2000s", strict, diff)
		}
	}
}
