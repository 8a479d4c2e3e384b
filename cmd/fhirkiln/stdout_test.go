package main

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A truncated list must not pass for a whole one.
func TestStdoutThatIsFull(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"schema", "Patient"}, {"completion", "bash"}} {
		for _, tt := range []struct {
			why  error
			hint string
		}{
			{syscall.ENOSPC, "try: free up space"},
			{syscall.EPIPE, "try: check what the program after the pipe"},
		} {
			var stderr bytes.Buffer
			code := execute(args, console{stdout: failingWriter{tt.why}, stderr: &stderr, env: os.LookupEnv})
			said := stderr.String()
			if code != exitStorage || !strings.Contains(said, "writing the result: stdout: "+tt.why.Error()) || !strings.Contains(said, tt.hint) {
				t.Errorf("%v: exit code %d, want %d; stderr %q", args, code, exitStorage, said)
			}
		}
	}
}

type failingWriter struct{ why error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.why }
