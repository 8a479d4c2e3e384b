package transport_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fhirkiln/transport"
)

// quick retries often enough for a test, with short pauses.
var quick = transport.Retry{Max: 3, MinWait: time.Millisecond, MaxWait: 2 * time.Millisecond}

// newClient returns a client that leaves no connection behind.
func newClient(t *testing.T, o transport.Options) *http.Client {
	t.Helper()
	c := transport.New(o)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// serve starts a server that is closed with the test and keeps quiet.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// visits records the requests that a server got.
type visits struct {
	mu     sync.Mutex
	header []http.Header
	body   []string
}

func (v *visits) add(r *http.Request) (number int) {
	body, _ := io.ReadAll(r.Body)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.header = append(v.header, r.Header.Clone())
	v.body = append(v.body, string(body))
	return len(v.header)
}

func (v *visits) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.header)
}

// roundTrip is an [http.RoundTripper] without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer returns a response as a RoundTripper would.
func answer(r *http.Request, status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}

func newRequest(t *testing.T, ctx context.Context, method, url, body string) *http.Request {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// get sends a GET and closes the response.
func get(t *testing.T, c *http.Client, url string) (*http.Response, error) {
	t.Helper()
	resp, err := c.Do(newRequest(t, t.Context(), http.MethodGet, url, ""))
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

// counting returns a context that counts in n how often a connection was requested.
func counting(ctx context.Context) (_ context.Context, n *atomic.Int64) {
	n = new(atomic.Int64)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { n.Add(1) },
	}), n
}

func asError(t *testing.T, err error) *transport.Error {
	t.Helper()
	var e *transport.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want a *transport.Error", err, err)
	}
	return e
}
