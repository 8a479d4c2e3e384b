package bulk_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"go.uber.org/goleak"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secret is in URLs and bodies, and must not get into an error.
const secret = "S3CR3T"

// people is the data that most servers here export.
var people = bulktest.Files{
	bulktest.Lines("Patient", `{"resourceType":"Patient","id":"1"}`, `{"resourceType":"Patient","id":"2"}`),
	bulktest.Lines("Coverage", `{"resourceType":"Coverage","id":"3","status":"active","beneficiary":{"reference":"Patient/1"}}`),
	bulktest.Lines("Group", `{"resourceType":"Group","id":"a/b ?","member":[{"entity":{"reference":"Patient/1"}}]}`),
}

func newServer(t *testing.T, o bulktest.Options) *bulktest.Server {
	t.Helper()
	if o.Data == nil {
		o.Data = people
	}
	s, err := bulktest.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// newClient returns a client of s with its credentials.
func newClient(t *testing.T, s *bulktest.Server, edit ...func(*bulk.Options)) *bulk.Client {
	t.Helper()
	return clientAt(t, s.FHIR(), append([]func(*bulk.Options){func(o *bulk.Options) {
		o.Credentials = auth.NewCache(auth.ClientCredentials{
			TokenURL: s.TokenURL(), ClientID: bulktest.DefaultClientID, ClientSecret: bulktest.DefaultClientSecret,
			Scope: bulktest.DefaultScope, HTTP: o.HTTP, Retry: o.Retry,
		})
	}}, edit...)...)
}

// clientAt returns a client without credentials and with short pauses.
func clientAt(t *testing.T, base string, edit ...func(*bulk.Options)) *bulk.Client {
	t.Helper()
	o := bulk.Options{
		Base:  base,
		HTTP:  transport.New(transport.Options{}),
		Poll:  bulk.Poll{Min: time.Millisecond, Max: 2 * time.Millisecond},
		Retry: transport.Retry{Max: 3, MinWait: time.Millisecond, MaxWait: 2 * time.Millisecond},
	}
	t.Cleanup(o.HTTP.CloseIdleConnections)
	for _, e := range edit {
		e(&o)
	}
	c, err := bulk.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bearer(token string) func(*bulk.Options) {
	return func(o *bulk.Options) { o.Credentials = auth.NewCache(auth.Bearer(token)) }
}

func attempts(n int) func(*bulk.Options) { return func(o *bulk.Options) { o.FileAttempts = n } }

// serve starts a server for behavior that bulktest does not have.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// script starts a server that answers its nth request by the nth step, and all further ones by
// the last.
func script(t *testing.T, steps ...http.HandlerFunc) (_ *httptest.Server, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := int(requests.Add(1))
		steps[min(n, len(steps))-1](w, r)
	}), requests
}

// respond returns a handler that always sends this response.
func respond(status int, header http.Header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bulktest.Respond(status, header, body)(w, r, nil)
	}
}

// file answers with an output file and its length.
func file(body []byte, header http.Header) http.HandlerFunc {
	return cutFile(len(body), body, header)
}

// cutFile is like file, but the connection breaks after the given number of bytes.
func cutFile(after int, body []byte, header http.Header) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if header.Get("Transfer-Encoding") == "" { // otherwise net/http sends it chunked
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		respond(200, header, string(body[:after]))(w, r)
		if after < len(body) {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
}

func compress(plain string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, plain)
	z.Close()
	return b.Bytes()
}

func sum(plain string) string {
	s := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(s[:])
}

func xxh128(plain string) string {
	var sum bulk.XXH128
	io.WriteString(&sum, plain)
	return sum.String()
}

// requestsOf returns the requests to an endpoint so far.
func requestsOf(s *bulktest.Server, e bulktest.Endpoint) []bulktest.Request {
	var some []bulktest.Request
	for _, r := range s.Requests() {
		if r.Endpoint == e {
			some = append(some, r)
		}
	}
	return some
}

// export has the server make an export and returns its manifest.
func export(t *testing.T, c *bulk.Client) (bulk.Job, *bulk.Manifest) {
	t.Helper()
	job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Wait(t.Context(), job, nil)
	if err != nil {
		t.Fatal(err)
	}
	return job, m
}

// read reads a file to its end.
func read(ctx context.Context, c *bulk.Client, m *bulk.Manifest, f bulk.File) (string, bulk.StreamStats, error) {
	s, err := c.Open(ctx, m, f)
	if err != nil {
		return "", bulk.StreamStats{}, err
	}
	defer s.Close()
	got, err := io.ReadAll(s)
	return string(got), s.Stats(), err
}

// readURL reads a file that needs no token.
func readURL(t *testing.T, c *bulk.Client, url string) (string, bulk.StreamStats, error) {
	t.Helper()
	return read(t.Context(), c, &bulk.Manifest{}, bulk.File{Type: "Patient", URL: url, Count: -1})
}

// wantError checks a failure's kind and text: that it says what it must, and holds no secret.
func wantError(t *testing.T, err error, kind transport.Kind, contains ...string) *transport.Error {
	t.Helper()
	var e *transport.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want a *transport.Error", err, err)
	}
	if e.Kind != kind {
		t.Errorf("got kind %d, want %d, of %v", e.Kind, kind, e)
	}
	for _, s := range contains {
		if !strings.Contains(e.Error(), s) {
			t.Errorf("%q does not say %q", e, s)
		}
	}
	if strings.Contains(err.Error()+e.Error()+e.Hint, secret) {
		t.Errorf("%q or its hint %q tells a secret", err, e.Hint)
	}
	return e
}

// wantHint checks what a failure tells the user to do.
func wantHint(t *testing.T, e *transport.Error, contains string) {
	t.Helper()
	if e.Hint == "" || !strings.Contains(e.Hint, contains) {
		t.Errorf("the hint %q does not say %q", e.Hint, contains)
	}
}
