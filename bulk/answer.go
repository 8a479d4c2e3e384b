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

// answerTime is how long a kick-off is still waited for when its ctx has ended. Servers that
// take longer have made the export before they answer, and are few.
const answerTime = 30 * time.Second

// awaited is a way to a server on which the end of its ctx does not cut a request off that was
// sent, for answerTime: the answer alone says what the request has begun. None is sent after
// that end.
type awaited struct {
	by  http.RoundTripper
	log *slog.Logger
}

// RoundTrip implements [http.RoundTripper].
func (a awaited) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	longer, cancel := transport.Linger(ctx, answerTime)
	var sent, ended atomic.Bool
	var first sync.Once // of the two
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
	resp, err := a.by.RoundTrip(r.WithContext(traced))
	if err != nil {
		end()
		if ctx.Err() != nil && sent.Load() {
			a.log.Warn("stopped, and the server has not said whether it has started the export; if the next run finds it busy, ask its owner to delete it")
		}
		return nil, err
	}
	resp.Body = &awaitedBody{resp.Body, end}
	return resp, nil
}

// awaitedBody is an answer's body, whose end is that of the waiting.
type awaitedBody struct {
	io.ReadCloser
	end func()
}

// Close implements [io.Closer].
func (b *awaitedBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}
