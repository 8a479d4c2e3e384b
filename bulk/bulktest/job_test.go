package bulktest_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fhirkiln/bulk/bulktest"
)

func TestExport(t *testing.T) {
	t.Parallel()
	clock := newClock()
	c := start(t, bulktest.Options{
		Data: bulktest.Files{
			bulktest.Lines("Patient", `{"resourceType":"Patient","id":"1"}`, "", `{"resourceType":"Patient", "id":"2"}`),
			bulktest.Lines("Observation"),
			bulktest.Lines("Patient", `{"resourceType":"Patient","id":"3"}`),
		},
		Errors: bulktest.Files{bulktest.Lines("OperationOutcome", `{"resourceType":"OperationOutcome"}`)},
		Polls:  2, RetryAfter: 1500 * time.Millisecond, FilesTTL: time.Minute, Now: clock.Now,
	})
	a := c.tryKickOff("/$export?_type=Patient&_type=Observation", "")
	a.want(t, 202)
	status := a.header.Get("Content-Location")
	if !strings.HasPrefix(status, c.server.URL()+"/") {
		t.Fatalf("Content-Location: %s", status)
	}
	for range 2 {
		a := c.get(status)
		a.want(t, 202)
		if got := a.header.Get("Retry-After"); got != "2" {
			t.Errorf("Retry-After: %s", got)
		}
		if got := a.header.Get("X-Progress"); !strings.HasSuffix(got, " of 4 files") || len(got) >= 100 {
			t.Errorf("X-Progress: %s", got)
		}
		if len(a.body) > 0 {
			t.Errorf("a body: %s", a.body)
		}
	}
	a = c.get(status)
	var got manifest
	a.decode(t, 200, &got)
	if got := a.header.Get("Expires"); got != "Sun, 22 Nov 2026 01:03:03 GMT" {
		t.Errorf("Expires: %s", got)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type: %s", got)
	}
	want := manifest{
		TransactionTime:     "2026-11-22T01:02:03.456Z",
		Request:             c.server.FHIR() + "/$export?_type=Patient&_type=Observation",
		RequiresAccessToken: true,
		Output:              []manifestFile{{Type: "Patient", Count: 2}, {Type: "Patient", Count: 1}},
		Deleted:             []manifestFile{},
		Error:               []manifestFile{{Type: "OperationOutcome", Count: 1}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(manifestFile{}, "URL")); diff != "" {
		t.Error(diff)
	}
	for i, want := range []string{
		"{\"resourceType\":\"Patient\",\"id\":\"1\"}\n\n{\"resourceType\":\"Patient\", \"id\":\"2\"}\n",
		"{\"resourceType\":\"Patient\",\"id\":\"3\"}\n",
	} {
		plain := c.get(got.Output[i].URL)
		if string(plain.body) != want || plain.header.Get("Content-Type") != "application/fhir+ndjson" ||
			plain.header.Get("Content-Encoding") != "" {
			t.Errorf("file %d: %v %q", i, plain.header, plain.body)
		}
		zipped := c.get(got.Output[i].URL, "Accept-Encoding", "br, gzip;q=0.8")
		if gunzip(t, zipped.body) != want || zipped.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("file %d: %v", i, zipped.header)
		}
		if refused := c.get(got.Output[i].URL, "Accept-Encoding", "gzip;q=0, identity"); string(refused.body) != want {
			t.Errorf("file %d: zipped all the same", i)
		}
	}
	if !strings.HasSuffix(got.Output[1].URL, "/Patient.3.ndjson") {
		t.Errorf("URL %s", got.Output[1].URL)
	}
	c.get(strings.Replace(got.Output[1].URL, "Patient.3", "Patient.9", 1)).want(t, 404)
	c.request("POST", got.Output[1].URL, "").want(t, 405)
	c.request("PUT", status, "").want(t, 405)

	clock.advance(time.Minute + 1)
	c.get(status).want(t, 410)
	c.get(got.Output[0].URL).want(t, 410)
}

func TestTransactionTimeIsTakenBeforeTheData(t *testing.T) {
	t.Parallel()
	var order []string
	data := dataFunc(func() []bulktest.File { order = append(order, "data"); return nil })
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", -5*3600))
	c := start(t, bulktest.Options{Data: data, TransactionTime: func() time.Time { order = append(order, "time"); return at }})
	if got := c.export("/$export", "").TransactionTime; got != "2026-01-02T03:04:05.000-05:00" {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"time", "data"}, order); diff != "" {
		t.Error(diff)
	}
}

type dataFunc func() []bulktest.File

func (f dataFunc) Files() []bulktest.File { return f() }

func TestDuration(t *testing.T) {
	t.Parallel()
	clock := newClock()
	c := start(t, bulktest.Options{Data: twoPatients(), Now: clock.Now, Duration: time.Minute})
	status := c.kickOff("/$export", "")
	a := c.get(status)
	a.want(t, 202)
	if got := a.header.Get("Retry-After"); got != "0" {
		t.Errorf("Retry-After: %q", got)
	}
	clock.advance(time.Minute)
	c.get(status).want(t, 200)
}

func TestNoRetryAfter(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients(), Polls: 1, RetryAfter: -1})
	if got := c.get(c.kickOff("/$export", "")).header.Values("Retry-After"); len(got) > 0 {
		t.Errorf("Retry-After: %s", got)
	}
}

// TestCounting has a file that cannot be counted until the test says so.
func TestCounting(t *testing.T) {
	t.Parallel()
	counted := make(chan struct{})
	slow := bulktest.Lines("Patient", `{"resourceType":"Patient"}`)
	open := slow.Open
	slow.Count = -1
	slow.Open = func() (io.ReadCloser, error) { <-counted; return open() }
	c := start(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Location", "{}"), slow}})
	status := c.kickOff("/$export", "")
	a := c.get(status)
	a.want(t, 202)
	if got := a.header.Get("X-Progress"); got != "counting 2 of 2 files" {
		t.Errorf("X-Progress: %s", got)
	}
	close(counted)
	if got := c.manifest(status).Output; len(got) != 2 || got[1].Count != 1 {
		t.Errorf("output %+v", got)
	}
}

func TestBadFileFailsTheJob(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	huge := func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("{}\n"), repeat(long))), nil
	}
	for name, test := range map[string]struct {
		file bulktest.File
		says string
	}{
		"cannot be opened": {bulktest.File{Type: "Patient", Count: -1, Open: func() (io.ReadCloser, error) { return nil, errors.New("no such luck") }}, "no such luck"},
		"is not JSON":      {bulktest.Lines("Patient", `{}`, "", `{"id":`), "line 3"},
		"is no object":     {bulktest.Lines("Patient", `[]`), "line 1"},
		"has two objects":  {bulktest.Lines("Patient", `{"meta":{"lastUpdated":"2026-01-01T00:00:00Z"}} {}`), "line 1"},
		"has a huge line":  {bulktest.File{Type: "Patient", Count: -1, Open: huge}, "line 2 is longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, bulktest.Options{Data: bulktest.Files{test.file}})
			a := c.poll(c.kickOff("/$export?_since=2020-01-01", ""))
			a.want(t, 500)
			if got := a.outcome(t); !strings.Contains(got, test.says) || !strings.Contains(got, "Patient.1") {
				t.Errorf("says %q", got)
			}
		})
	}
}

// repeat returns an endless reader of s.
func repeat(s string) io.Reader { return &repeater{s: s} }

type repeater struct {
	s  string
	at int
}

func (r *repeater) Read(p []byte) (int, error) {
	n := copy(p, r.s[r.at:])
	r.at = (r.at + n) % len(r.s)
	return n, nil
}

// TestFileThatBreaks has a file whose second half fails when it is downloaded. That must not
// look like the end of the file.
func TestFileThatBreaks(t *testing.T) {
	t.Parallel()
	half := strings.Repeat("{\"resourceType\":\"Patient\"}\n", 10_000)
	breaks := func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(half), failing{})), nil
	}
	notThere := func() (io.ReadCloser, error) { return nil, errors.New("gone") }
	c := start(t, bulktest.Options{Data: bulktest.Files{
		{Type: "Patient", Count: 20_000, Open: breaks},
		{Type: "Patient", Count: 1, Open: notThere},
	}})
	m := c.export("/$export", "")
	for _, encoding := range []string{"identity", "gzip"} {
		a, err := c.try("GET", m.Output[0].URL, "", "Authorization", "Bearer "+c.token, "Accept-Encoding", encoding)
		if err == nil {
			t.Errorf("%s: a whole answer of %d bytes, status %d", encoding, len(a.body), a.status)
		}
		gone := c.get(m.Output[1].URL, "Accept-Encoding", encoding)
		gone.want(t, 500)
		if gone.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: the error says it is zipped", encoding)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

func TestDelete(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients()})
	status := c.kickOff("/$export", "")
	file := c.manifest(status).Output[0].URL
	remove := func() answer { return c.request("DELETE", status, "", "Authorization", "Bearer "+c.token) }
	remove().want(t, 202)
	remove().want(t, 404)
	c.get(status).want(t, 404)
	c.get(file).want(t, 404)
}

// endless returns a file without end. closed is closed when a reader of the file is.
func endless() (f bulktest.File, closed chan struct{}) {
	closed = make(chan struct{})
	return bulktest.File{Type: "Patient", Count: -1, Open: func() (io.ReadCloser, error) {
		return closer{repeat("{}\n"), closed}, nil
	}}, closed
}

type closer struct {
	io.Reader
	closed chan struct{}
}

func (c closer) Close() error { close(c.closed); return nil }

func TestDeleteStopsTheCounting(t *testing.T) {
	t.Parallel()
	file, closed := endless()
	c := start(t, bulktest.Options{Data: bulktest.Files{file}})
	status := c.kickOff("/$export", "")
	c.request("DELETE", status, "", "Authorization", "Bearer "+c.token).want(t, 202)
	<-closed
}
