package bulk

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"fhirkiln/transport"
)

// kickOffGrace is how long to wait for a kick-off's response after its ctx has ended. Only the
// few servers that make the whole export before they answer take longer.
const kickOffGrace = 30 * time.Second

// lingeringTransport waits for the response to a request that has been sent for up to
// kickOffGrace after the request's ctx has ended, because only the response tells what the
// request has started. It sends nothing after that end.
type lingeringTransport struct {
	next http.RoundTripper
	log  *slog.Logger
}

// RoundTrip implements [http.RoundTripper].
func (t lingeringTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	longer, cancel := transport.Linger(ctx, kickOffGrace)
	var sent, ended atomic.Bool
	var first sync.Once // sets whichever of the two happens first
	stop := context.AfterFunc(ctx, func() {
		first.Do(func() {
			ended.Store(true)
			cancel()
		})
	})
	end := func() {
		stop()
		cancel()
	}
	traced := httptrace.WithClientTrace(longer, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		first.Do(func() { sent.Store(true) })
		if ended.Load() {
			cancel() // before anything is written
		}
	}})
	resp, err := t.next.RoundTrip(r.WithContext(traced))
	if err != nil {
		end()
		if ctx.Err() != nil && sent.Load() {
			t.log.Warn("stopped before the server said whether it started the export; if the next run finds the server busy, ask its owner to delete the export")
		}
		return nil, err
	}
	resp.Body = &lingeringBody{resp.Body, end}
	return resp, nil
}

// lingeringBody is a response body that ends the lingering when it is closed.
type lingeringBody struct {
	io.ReadCloser
	end func()
}

// Close implements [io.Closer].
func (b *lingeringBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}
