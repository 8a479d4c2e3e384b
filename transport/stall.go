package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// paceBytes is how much of a response body must arrive within Options.PaceTimeout. The
// slowest line on which an export can still finish manages that.
const paceBytes = 64 << 10

// ErrTooSlow means that a body never quite fell silent, but made no real progress either.
var ErrTooSlow = errors.New("the response arrives too slowly")

// watchedBody is a response body whose reads fail when no byte arrives for silence, or when
// paceBytes take longer than pace. Only time spent in reads counts: the caller may be as slow
// as it likes between them.
type watchedBody struct {
	body          io.ReadCloser
	ctx           context.Context    // of the request
	cancel        context.CancelFunc // of ctx; the only way to end a read on any kind of connection
	silence, pace time.Duration
	silent        atomic.Bool
	received      int64         // bytes since the last full paceBytes
	waited        time.Duration // for received
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
	w.received += int64(n)
	switch {
	// This includes io.EOF: TLS sends a closing alert before it closes the connection, and a server
	// that sees it may end its response as if complete, in time for us to read that end.
	case err != nil && w.silent.Load():
		return n, fmt.Errorf("no data received for %v", w.silence)
	case err != nil && w.ctx.Err() != nil:
		return n, context.Cause(w.ctx)
	case w.received >= paceBytes:
		w.received, w.waited = 0, 0
	case w.waited > w.pace && err == nil:
		return n, fmt.Errorf("%w: fewer than %d bytes in %v", ErrTooSlow, paceBytes, w.pace)
	}
	return n, wireError(err)
}

// Close implements [io.Closer].
func (w *watchedBody) Close() error {
	defer w.cancel()
	return w.body.Close()
}
