package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fhirkiln/auth"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick retries with hardly any pause.
var quick = transport.Retry{MinWait: time.Millisecond, MaxWait: time.Millisecond}

// newClient returns a client that leaves no connection behind.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	c := transport.New(transport.Options{})
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func newServer(t *testing.T, o bulktest.Options) *bulktest.Server {
	t.Helper()
	s, err := bulktest.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// serve starts a server for behavior that bulktest does not have.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// grantAt asks for tokens with the credentials that bulktest accepts, and retries quickly.
func grantAt(t *testing.T, url string) auth.ClientCredentials {
	t.Helper()
	return auth.ClientCredentials{
		TokenURL: url, ClientID: bulktest.DefaultClientID, ClientSecret: bulktest.DefaultClientSecret,
		Scope: bulktest.DefaultScope, HTTP: newClient(t), Retry: quick,
	}
}

// fetchFunc is an [auth.Fetcher].
type fetchFunc func(context.Context) (auth.Credential, error)

func (f fetchFunc) Fetch(ctx context.Context) (auth.Credential, error) { return f(ctx) }

// numbered returns a fetcher whose every credential has another token.
func numbered(fetches *atomic.Int64) fetchFunc {
	return func(context.Context) (auth.Credential, error) {
		return auth.Bearer("token-" + string(rune('0'+fetches.Add(1)))), nil
	}
}

// authorization returns the Authorization header of a request with c.
func authorization(c auth.Credential) string {
	h := http.Header{}
	c.Apply(h)
	return h.Get("Authorization")
}

// roundTrip is an [http.RoundTripper] without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}

// wantError checks a failure's kind and text: that it says what it must, has a hint, and
// holds no secret.
func wantError(t *testing.T, err error, kind transport.Kind, contains ...string) *transport.Error {
	t.Helper()
	var e *transport.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want a *transport.Error", err, err)
	}
	if e.Kind != kind {
		t.Errorf("got kind %d, want %d, of %v", e.Kind, kind, e)
	}
	if e.Hint == "" {
		t.Errorf("%v has no hint", e)
	}
	for _, s := range contains {
		if !strings.Contains(e.Error(), s) {
			t.Errorf("%q does not say %q", e, s)
		}
	}
	for _, secret := range []string{bulktest.DefaultClientSecret, "S3CR3T"} {
		if strings.Contains(e.Error()+e.Hint, secret) {
			t.Errorf("%q or its hint %q tells a secret", e, e.Hint)
		}
	}
	return e
}
