package bulk_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

func TestKickOffIsSentAgainWhereNothingStarted(t *testing.T) {
	t.Parallel()
	for _, post := range []bool{false, true} {
		server := newServer(t, bulktest.Options{})
		server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Do: bulktest.Respond(429, http.Header{"Retry-After": {"7200"}}, "")})
		server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Do: bulktest.Respond(503, nil, "<html>")})
		if _, err := newClient(t, server).KickOff(t.Context(), bulk.Request{Level: bulk.System, Post: post}); err != nil {
			t.Fatal(err)
		}
		sent := requestsOf(server, bulktest.KickOffEndpoint)
		if len(sent) != 3 || string(sent[2].Body) != string(sent[0].Body) || sent[2].RequestURI != sent[0].RequestURI {
			t.Errorf("post %v: got %d kick-offs", post, len(sent))
		}
	}
}

func TestKickOffDialsAgain(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	var dials atomic.Int64
	wire := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) <= 2 {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	t.Cleanup(wire.CloseIdleConnections)
	c := newClient(t, server, func(o *bulk.Options) {
		o.Credentials = nil
		o.HTTP = &http.Client{Transport: wire}
	})
	_, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
	wantError(t, err, transport.Denied) // it reached the server
	if dials.Load() != 3 {
		t.Errorf("dialed %d times, want 3", dials.Load())
	}
}

// The token came over the same connection. By itself, net/http sends a GET again when a reused
// connection is lost, which would start a second export.
func TestKickOffThatWasLostIsNotSentAgain(t *testing.T) {
	t.Parallel()
	for _, post := range []bool{false, true} {
		for name, lose := range map[string]bulktest.Behavior{
			"before the answer": func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
			"within the answer": bulktest.Chain(bulktest.CutBody(5), bulktest.Respond(200, nil, `{"transactionTime":"","output":[]}`)),
			"by a reset":        reset,
			"after the export was": bulktest.Chain(func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(discard{}, r)
				panic(http.ErrAbortHandler)
			}),
		} {
			t.Run(fmt.Sprintf("%s, post %v", name, post), func(t *testing.T) {
				t.Parallel()
				server := newServer(t, bulktest.Options{})
				server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Do: lose})
				_, err := newClient(t, server).KickOff(t.Context(), bulk.Request{Level: bulk.System, Post: post})
				wantError(t, err, transport.Unavailable)
				if n := len(requestsOf(server, bulktest.KickOffEndpoint)); n != 1 {
					t.Errorf("got %d kick-offs, want 1", n)
				}
			})
		}
	}
}

// reset closes the connection without a response (TCP RST).
func reset(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

// discard is an [http.ResponseWriter] that discards everything.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
