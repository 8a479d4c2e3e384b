package pipeline_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/columnar"
	"fhirkiln/pipeline"
)

// A list of members that cannot be read ends the run, with the place, and without what
// stands there.
func TestDamagedListOfMembers(t *testing.T) {
	t.Parallel()
	for _, line := range []string{`{"resourceType":"Patient","id":"Planted" "x"}`, `["Planted"]`, `{"resourceType":"Patient","name":"Planted"}`, `{"id":"Planted/1"}`} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			c := newPractice(t, "a: 1 2")
			c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always,
				Do: bulktest.EditBody(func([]byte) []byte { return []byte(`{"resourceType":"Patient","id":"1"}` + "\n" + line + "\n") })})
			_, err := pipeline.Run(t.Context(), c.Options)
			var data *columnar.DataError
			if !errors.As(err, &data) || data.Line != 2 {
				t.Errorf("error %v, want one of the data at line 2", err)
			}
			if strings.Contains(fmt.Sprint(err)+c.logs.String(), "Planted") {
				t.Errorf("the line is told: %v", err)
			}
			c.wantUnseen(t)
		})
	}
}
