package pipeline_test

import (
	"errors"
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

// Whatever servers put into files becomes rows, goes to quarantine, or fails the run. Nothing
// goes missing.
func TestFileFaults(t *testing.T) {
	t.Parallel()
	const one, two = `{"resourceType":"Patient","id":"1"}`, `{"resourceType":"Patient","id":"2"}`
	for _, test := range []struct {
		name, content string
		rows, bad     int64
		count         int
	}{
		{"byte order mark", "\uFEFF" + one + "\n" + two + "\n", 2, 0, 2},
		{"CRLF", one + "\r\n" + two + "\r\n", 2, 0, 2},
		{"blank lines", "\n\n" + one + "\n\n" + two + "\n \n", 2, 0, 2},
		{"no final newline", one + "\n" + two, 2, 0, 2},
		{"a line of 50 MB", `{"resourceType":"Patient","id":"1","x":"` + strings.Repeat("x", 50<<20) + `"}` + "\n" + two + "\n", -1, -1, 2},
		{"an invalid line", "{oops}\n" + two + "\n", 1, 1, 2},
		{"two objects in a line", one + two + "\n", 0, 1, 1},
		{"another resourceType", `{"resourceType":"Coverage","id":"1"}` + "\n" + two + "\n", 2, 0, 2},
		{"count too high", one + "\n", 0, 0, 2},
		{"count 0", one + "\n", 0, 0, 0},
		{"OperationOutcome", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x"}]}`, 0, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", one, two)}})
			w.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: bulktest.EditManifest(func(m map[string]any) {
				m["output"].([]any)[0].(map[string]any)["count"] = test.count
			})})
			w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.EditBody(func([]byte) []byte { return []byte(test.content) })})
			w.MaxQuarantined = 1
			report, err := pipeline.Run(t.Context(), w.Options)
			if test.rows == 0 && test.bad == 0 {
				if err == nil || report.Status != lake.StatusFailed || len(w.published(t)) != 0 {
					t.Errorf("got %v, %+v", err, report)
				}
				return
			}
			if _, partial := errors.AsType[*pipeline.PartialError](err); err != nil && !partial {
				t.Fatal(err)
			}
			if test.rows < 0 { // whether it is too long is columnar's to say
				test.rows, test.bad = report.Resources, report.Quarantined
			}
			if report.Resources != test.rows || report.Quarantined != test.bad || test.rows+test.bad != int64(test.count) {
				t.Errorf("got %d rows and %d in quarantine, want %d and %d", report.Resources, report.Quarantined, test.rows, test.bad)
			}
		})
	}
}
