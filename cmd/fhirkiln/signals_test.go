package main

import (
	"io"
	"strings"
	"testing"
)

// Every command is known either to only print, or to have work to finish when nobody reads its
// output. A new one has to be added here, and in printsOnly if it only prints.
func TestPrintsOnly(t *testing.T) {
	t.Parallel()
	want := map[string]bool{
		"check": true, "completion": true, "files": true, "report": true, "restore": true, "schema": true, "sql": true, "verify": true,
		"watermark show": true,

		"cancel": false, "compact": false, "convert": false, "demo": false, "gc": false, "run": false, "testserver": false,
		"watermark set": false,
	}
	parser, err := newParser(&cli{}, console{stdout: io.Discard, stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Leaves(false) {
		name := strings.TrimPrefix(command.FullPath(), "fhirkiln ")
		prints, known := want[name]
		if !known {
			t.Errorf("%s: does it only print?", name)
		}
		if printsOnly(name) != prints {
			t.Errorf("%s: printsOnly is %v", name, !prints)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s: there is no such command", name)
	}
}
