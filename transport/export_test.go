package transport

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// Watched returns a body as the clients of [New] return it, and the context of its request.
func Watched(ctx context.Context, body io.Reader, silence, pace time.Duration) (io.ReadCloser, context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	return &watchedBody{body: io.NopCloser(body), ctx: ctx, cancel: cancel, silence: silence, pace: pace}, ctx
}

// DialBy makes a client of [New] that has not been used yet connect through dial.
func DialBy(c *http.Client, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	to := c.Transport.(*guard).plain
	to.pooled.DialContext, to.fresh.DialContext = dial, dial
}
