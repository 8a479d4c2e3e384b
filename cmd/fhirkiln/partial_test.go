package main

import (
	"strings"
	"testing"

	"fhirkiln/pipeline"
)

// The hint names the parts of the report that say why a run is partial.
func TestHintOfAPartialRun(t *testing.T) {
	t.Parallel()
	for says, partial := range map[string]pipeline.PartialError{
		"see issues and quarantine in R,": {Report: "R", Quarantined: 1},
		"see retired in R,":               {Report: "R", NotRetired: "5 of 40 Patient resources would be retired, more than a tenth"},
		"ask the server's owner whether":  {Report: "R", OlderKept: "the export lacks resources that are live: 3 of 4 Patient"},
		"see what the server says is missing in E (it may name patients), and issues and quarantine in R;": {Report: "R", Issues: 1, ServerErrors: "E"},
	} {
		if code, hint := classify(&partial); code != exitPartial || !strings.HasPrefix(hint, says) {
			t.Errorf("exit code %d, hint %q; want %d and %q", code, hint, exitPartial, says)
		}
	}
}
