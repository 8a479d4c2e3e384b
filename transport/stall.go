package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// slowBytes is what an answer's body must bring within Options.PaceTimeout: little
// enough for the slowest line that still gets an export done.
const slowBytes = 64 << 10

// ErrTooSlow says that a body never quite fell silent, but did not get on either.
var ErrTooSlow = errors.New("the answer comes too slowly")

// watchedBody is an answer's body of which a read ends when it brings no byte for
// silence, or when slowBytes of it take longer than pace. Only the time that the wire
// takes counts: the reader may be as slow as it likes.
type watchedBody struct {
	body          io.ReadCloser
	ctx           context.Context    // of the request
	cancel        context.CancelFunc // of ctx: the one thing that ends a read of any kind of connection
	silence, pace time.Duration
	silent        atomic.Bool
	came          int64         // since the last slowBytes were full
	waited        time.Duration // for came
}

// Read implements [io.Reader].
func (w *watchedBody) Read(p []byte) (int, error) {
	t := time.AfterFunc(w.silence, func() {
		w.silent.Store(true)
		w.cancel()
	})
	begun := time.Now()
	n, err := w.body.Read(p)
	w.waited += time.Since(begun)
	t.Stop()
	w.came += int64(n)
	switch {
	// Also an io.EOF: TLS says goodbye before the connection is closed, and a server that sees
	// it may end its answer as if it were whole, in time for us to read that.
	case err != nil && w.silent.Load():
		return n, fmt.Errorf("no byte came for %v", w.silence)
	case err != nil && w.ctx.Err() != nil:
		return n, context.Cause(w.ctx)
	case w.came >= slowBytes:
		w.came, w.waited = 0, 0
	case w.waited > w.pace && err == nil:
		return n, fmt.Errorf("%w: fewer than %d bytes in %v", ErrTooSlow, slowBytes, w.pace)
	}
	return n, wireError(err)
}

// Close implements [io.Closer].
func (w *watchedBody) Close() error {
	defer w.cancel()
	return w.body.Close()
}
