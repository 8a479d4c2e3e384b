//go:build unix

package pipeline_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
)

// Whatever were read from a pipe before the conversion would be lost.
func TestConvertPipe(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := pipeline.FindFiles(nil, pipe)
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() { wrote <- os.WriteFile(pipe, []byte(strings.Join(resources("Patient", 0, 1000), "\n")), 0o600) }()
	w := newWorld(t, bulktest.Options{})
	w.Server = nil
	report, err := pipeline.Convert(t.Context(), files, w.Options)
	if err != nil || report.Resources != 1000 {
		t.Errorf("got %d resources of 1000, %v", report.Resources, err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// silent is a stdin that yields some lines, and then nothing for as long as its writer lives.
type silent struct {
	io.Reader
	asked   func()
	release chan struct{}
}

func (s *silent) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		s.asked()
		<-s.release
	}
	return n, err
}

func TestConvertOfASilentPipeEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	stdin := &silent{strings.NewReader(strings.Join(resources("Patient", 0, 10), "\n")), func() { cancel(stopped) }, make(chan struct{})}
	defer close(stdin.release)
	files, err := pipeline.FindFiles(stdin, "-")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, bulktest.Options{})
	w.Server = nil
	if _, err := pipeline.Convert(ctx, files, w.Options); !errors.Is(err, stopped) {
		t.Errorf("got %v", err)
	}
}
