package transport

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// Watched is a body as the clients of [New] give it, and the context of its request.
func Watched(ctx context.Context, body io.Reader, silence, pace time.Duration) (io.ReadCloser, context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	return &watchedBody{body: io.NopCloser(body), ctx: ctx, cancel: cancel, silence: silence, pace: pace}, ctx
}

// DialBy has a client of [New] that was not used yet make its connections by dial.
func DialBy(c *http.Client, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	to := c.Transport.(*guard).anybody
	to.kept.DialContext, to.fresh.DialContext = dial, dial
}
