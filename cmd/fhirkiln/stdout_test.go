package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

// Whoever reads a list that was cut must not think that it is whole.
func TestStdoutThatIsFull(t *testing.T) {
	t.Parallel()
	full := failingWriter{}
	for _, args := range [][]string{{"schema", "Patient"}, {"completion", "bash"}} {
		var stderr bytes.Buffer
		code := execute(args, console{stdout: full, stderr: &stderr, env: os.LookupEnv})
		if code != exitStorage || !strings.Contains(stderr.String(), "writing the result in stdout: no room") {
			t.Errorf("%v: exit code %d, want %d; stderr %q", args, code, exitStorage, &stderr)
		}
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }
