package bulk_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
)

// closes counts the response bodies that are not closed yet.
type closes struct {
	http.RoundTripper
	open atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (c *closes) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		c.open.Add(1)
		resp.Body = &closed{ReadCloser: resp.Body, of: c}
	}
	return resp, err
}

type closed struct {
	io.ReadCloser
	of   *closes
	once atomic.Bool
}

// Close implements [io.Closer].
func (c *closed) Close() error {
	if !c.once.Swap(true) {
		c.of.open.Add(-1)
	}
	return c.ReadCloser.Close()
}

// A body that is left open keeps its connection, and a run sends thousands of requests.
func TestEveryBodyIsClosed(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{Polls: 1})
	var bodies closes
	c := newClient(t, server, func(o *bulk.Options) {
		bodies.RoundTripper = o.HTTP.Transport
		way := *o.HTTP
		way.Transport = &bodies
		o.HTTP = &way
	})
	want := func(doing string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", doing, err)
		}
		if n := bodies.open.Load(); n != 0 {
			t.Errorf("%s: %d bodies are open", doing, n)
		}
		bodies.open.Store(0)
		server.ExpireTokens() // the next request is first refused
	}
	busy := http.Header{"Content-Location": {server.FHIR() + "/job/none, " + server.FHIR() + "/job/either"}, "Retry-After": {"0"}}
	server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Do: bulktest.Respond(429, busy, "busy")})
	job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
	want("starting", err)
	server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: bulktest.Respond(503, nil, "later")})
	m, err := c.Wait(t.Context(), job, nil)
	want("waiting", err)
	server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: bulktest.Respond(503, nil, "later")})
	_, _, err = read(t.Context(), c, m, m.Output[0])
	want("reading", err)
	_, err = c.Groups(t.Context(), "Group?_id=1")
	want("searching", err)
	want("deleting", c.Delete(t.Context(), job))
	want("deleting again", c.Delete(t.Context(), job))
	server.Inject(bulktest.Fault{On: bulktest.DeleteEndpoint, Do: bulktest.Outcome(403, "forbidden", "no")})
	if err := c.Delete(t.Context(), job); err == nil {
		t.Error("that was refused")
	}
	want("deleting in vain", nil)
}
