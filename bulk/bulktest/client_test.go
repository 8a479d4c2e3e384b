package bulktest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"go.uber.org/goleak"

	"fhirkiln/bulk/bulktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is a plain HTTP client of one server, with a token.
type client struct {
	t      *testing.T
	server *bulktest.Server
	http   *http.Client
	token  string
}

// answer is a response, its body read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func start(t *testing.T, o bulktest.Options) *client {
	t.Helper()
	server, err := bulktest.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	c := &client{t: t, server: server, http: &http.Client{Transport: transport}}
	c.token = c.newToken()
	return c
}

// request sends a request.
func (c *client) request(method, target, body string, header ...string) answer {
	c.t.Helper()
	a, err := c.try(method, target, body, header...)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// try is like request, for answers that may break off: it returns what arrived with the error.
func (c *client) try(method, target, body string, header ...string) (answer, error) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, read}, err
}

func (c *client) newToken() string {
	c.t.Helper()
	a := c.request("POST", c.server.TokenURL(), tokenForm().Encode(), "Content-Type", form)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	a.decode(c.t, 200, &token)
	return token.AccessToken
}

const form = "application/x-www-form-urlencoded"

func tokenForm() url.Values {
	return url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {bulktest.DefaultClientID},
		"client_secret": {bulktest.DefaultClientSecret},
		"scope":         {bulktest.DefaultScope},
	}
}

// get sends a GET with the token.
func (c *client) get(target string, header ...string) answer {
	c.t.Helper()
	return c.request("GET", target, "", append(header, "Authorization", "Bearer "+c.token)...)
}

// tryKickOff kicks off by GET, or by POST if there is a body.
func (c *client) tryKickOff(path, body string, header ...string) answer {
	c.t.Helper()
	method := "GET"
	header = append(header, "Authorization", "Bearer "+c.token, "Accept", "application/fhir+json", "Prefer", "respond-async")
	if body != "" {
		method = "POST"
		header = append(header, "Content-Type", "application/fhir+json")
	}
	return c.request(method, c.server.FHIR()+path, body, header...)
}

// kickOff returns the status URL.
func (c *client) kickOff(path, body string, header ...string) string {
	c.t.Helper()
	a := c.tryKickOff(path, body, header...)
	a.want(c.t, 202)
	return a.header.Get("Content-Location")
}

type manifest struct {
	TransactionTime        string
	Request                string
	RequiresAccessToken    bool
	Output, Deleted, Error []manifestFile
}

type manifestFile struct {
	Type, URL string
	Count     int
}

// manifest polls to the end without pausing: the server waits.
func (c *client) manifest(status string) manifest {
	c.t.Helper()
	var m manifest
	c.poll(status).decode(c.t, 200, &m)
	return m
}

// poll polls until the answer is not 202.
func (c *client) poll(status string) answer {
	c.t.Helper()
	for {
		if a := c.get(status); a.status != 202 {
			return a
		}
	}
}

// export kicks off and returns the manifest.
func (c *client) export(path, body string, header ...string) manifest {
	c.t.Helper()
	return c.manifest(c.kickOff(path, body, header...))
}

// want checks the status, and that the body of an error is an OperationOutcome.
func (a answer) want(t *testing.T, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d; body: %.300s", a.status, status, a.body)
	}
	if status >= 400 {
		a.outcome(t)
	}
}

// outcome returns the diagnostics of the OperationOutcome that the answer must be.
func (a answer) outcome(t *testing.T) string {
	t.Helper()
	var o struct {
		ResourceType string
		Issue        []struct{ Severity, Code, Diagnostics string }
	}
	if err := json.Unmarshal(a.body, &o); err != nil || o.ResourceType != "OperationOutcome" || len(o.Issue) != 1 ||
		o.Issue[0].Severity != "error" || o.Issue[0].Code == "" || a.header.Get("Content-Type") != "application/fhir+json" {
		t.Fatalf("want an OperationOutcome, got %s: %.300s (%v)", a.header.Get("Content-Type"), a.body, err)
	}
	return o.Issue[0].Diagnostics
}

func (a answer) decode(t *testing.T, status int, v any) {
	t.Helper()
	a.want(t, status)
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in %.300s", err, a.body)
	}
}

func gunzip(t *testing.T, b []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 1, 2, 3, 456789000, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// twoPatients is the smallest data that has something to see.
func twoPatients() bulktest.Data {
	return bulktest.Files{bulktest.Lines("Patient", `{"resourceType":"Patient","id":"1"}`, `{"resourceType":"Patient","id":"2"}`)}
}
