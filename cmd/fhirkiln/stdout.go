package main

import (
	"errors"
	"io"
	"sync"
	"syscall"

	"fhirkiln/sink"
)

// resultWriter is stdout. A truncated result must not pass for a whole one, so it keeps the
// first write error, for the exit code. Safe for concurrent use.
type resultWriter struct {
	w io.Writer

	mu     sync.Mutex
	failed error
}

// Write implements [io.Writer].
func (r *resultWriter) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.w.Write(p)
	if err != nil {
		hint := "free up space and run the command again; what is published stays"
		if errors.Is(err, syscall.EPIPE) {
			hint = "check what the program after the pipe printed: it stopped reading; what is published stays"
		}
		err = &sink.Error{Doing: "writing the result", Where: "stdout", Err: err, Hint: hint}
		if r.failed == nil {
			r.failed = err
		}
	}
	return n, err
}

// err returns the first error.
func (r *resultWriter) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
