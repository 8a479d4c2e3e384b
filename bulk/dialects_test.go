package bulk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

// kickedOff returns the request that a kick-off sends.
func kickedOff(t *testing.T, r bulk.Request) (got *http.Request, body []byte) {
	t.Helper()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Location", "/job/1")
		w.WriteHeader(http.StatusAccepted)
	})
	if _, err := clientAt(t, server.URL+"/fhir").KickOff(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return got, body
}

func TestKickOffDialects(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 1, 23, 30, 0, 0, time.FixedZone("", -5*3600)) // the 2nd in UTC
	r := bulk.Request{Level: bulk.Group, Group: "1", Types: []string{"Patient", "Coverage"}, Elements: []string{"id", "name"}, Since: since, SinceAsDate: true,
		RepeatLists: true, AssociatedData: []string{"LatestProvenanceResources", "RelevantProvenanceResources"}, OrganizeBy: "Patient",
		PartialManifests: true, Lenient: true, SeparateStatus: true,
		Parameters: []bulk.Parameter{{Name: "_outputFormat", Value: "ndjson"}, {Name: "_till", Value: "2026"}},
		Header:     map[string]string{"X-Tenant": "bison", "prefer": "return=minimal", "accept": "text/html"}}
	got, _ := kickedOff(t, r)
	want := url.Values{"_type": {"Patient", "Coverage"}, "_elements": {"id", "name"}, "_since": {"2026-03-01"}, "organizeOutputBy": {"Patient"},
		"includeAssociatedData": {"LatestProvenanceResources", "RelevantProvenanceResources"}, "allowPartialManifests": {"true"},
		"_outputFormat": {"ndjson"}, "_till": {"2026"}}
	if diff := cmp.Diff(want, got.URL.Query()); diff != "" {
		t.Errorf("another query (-want +got):\n%s", diff)
	}
	h := got.Header
	if h.Get("Prefer") != "respond-async, separate-export-status, handling=lenient, return=minimal" || h.Get("X-Tenant") != "bison" || h.Get("Accept") != "application/fhir+json" {
		t.Errorf("got the header %v", h)
	}
	r = bulk.Request{Level: bulk.Group, Group: "1", ExportType: "hl7.fhir.us.davinci-pdex#payertopayer", Post: true, PartialManifests: true,
		AssociatedData: []string{"a", "b"}, Parameters: []bulk.Parameter{{Name: "_outputFormat"}, {Name: "n", Value: "3", Kind: "Integer"}}}
	got, body := kickedOff(t, r)
	var is, should any
	err := errors.Join(json.Unmarshal(body, &is), json.Unmarshal([]byte(`{"resourceType":"Parameters","parameter":[
		{"name":"exportType","valueCanonical":"hl7.fhir.us.davinci-pdex#payertopayer"},{"name":"includeAssociatedData","valueCode":"a,b"},
		{"name":"allowPartialManifests","valueBoolean":true},{"name":"n","valueInteger":3}]}`), &should))
	if diff := cmp.Diff(should, is); diff != "" || err != nil || got.URL.Path != "/fhir/Group/1/$davinci-data-export" || got.Method != "POST" {
		t.Errorf("%s %s, %v, another body (-want +got):\n%s", got.Method, got.URL, err, diff)
	}
	if _, err := clientAt(t, "http://127.0.0.1:1").KickOff(t.Context(), bulk.Request{Level: bulk.System, ExportType: "x"}); err == nil {
		t.Error("$davinci-data-export was sent at system level")
	}
}

func TestKickOffWarnings(t *testing.T) {
	t.Parallel()
	server, _ := script(t, respond(202, http.Header{"Content-Location": {"/job"}, "Preference-Applied": {"handling=lenient"}},
		`{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"not-supported","diagnostics":"_elements"}]}`))
	job, err := clientAt(t, server.URL).KickOff(t.Context(), bulk.Request{Level: bulk.System, Lenient: true})
	want := bulk.Job{StatusURL: server.URL + "/job", Issues: []bulk.Issue{{Severity: "warning", Code: "not-supported", Diagnostics: "_elements"}}}
	if diff := cmp.Diff(want, job); diff != "" || err != nil {
		t.Errorf("%v, another job (-want +got):\n%s", err, diff)
	}
}

// A job that runs where the token may not go is reported, so that it can be canceled.
func TestKickOffKeepsTheStatusURLBesideAnError(t *testing.T) {
	t.Parallel()
	const elsewhere = "https://elsewhere.example/job/1"
	server, _ := script(t, respond(202, http.Header{"Content-Location": {elsewhere}}, ""))
	job, err := clientAt(t, server.URL, bearer("x")).KickOff(t.Context(), bulk.Request{Level: bulk.System})
	if wantError(t, err, transport.Broken); job.StatusURL != elsewhere {
		t.Errorf("got %+v", job)
	}
	c := clientAt(t, server.URL, bearer("x"), func(o *bulk.Options) { o.TokenOrigins = []string{"https://elsewhere.example"} })
	if job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System}); err != nil || job.StatusURL != elsewhere {
		t.Errorf("an origin of the token: %+v, %v", job, err)
	}
}

func TestWaitReadsOddRetryAfters(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]func(now time.Time) http.Header{
		"X-RetryAfter":       func(time.Time) http.Header { return http.Header{"X-Retryafter": {"60"}} },
		"epoch milliseconds": func(now time.Time) http.Header { return retryAfter(fmt.Sprint(now.Add(time.Minute).UnixMilli())) },
		"epoch seconds":      func(now time.Time) http.Header { return retryAfter(fmt.Sprint(now.Add(time.Minute).Unix())) },
		"a fraction":         func(time.Time) http.Header { return retryAfter("60.0") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				c := waiter(t, bulk.Poll{}, func(n int) (int, http.Header, string, error) {
					if n == 1 {
						return 202, header(time.Now()), "", nil
					}
					return 200, nil, done, nil
				})
				if _, err := c.Wait(t.Context(), slow, nil); err != nil || time.Since(start) < 59*time.Second || time.Since(start) > time.Minute {
					t.Errorf("%v after %v, want a minute", err, time.Since(start))
				}
			})
		})
	}
}

func retryAfter(v string) http.Header { return http.Header{"Retry-After": {v}} }

func TestWaitHandsOnPartialManifests(t *testing.T) {
	t.Parallel()
	const partial = `{"transactionTime":"2026-01-01T00:00:00Z","output":[{"type":"Patient","url":"/1?sig=a"}]}`
	server, _ := script(t, respond(202, nil, partial), respond(200, nil, strings.ReplaceAll(partial, "sig=a", "sig=b")))
	told := 0
	m, err := clientAt(t, server.URL).Wait(t.Context(), bulk.Job{StatusURL: server.URL}, func(p bulk.Progress) { told += len(p.Partial.Output) })
	if err != nil || told != 1 || len(m.Output) != 1 {
		t.Errorf("told of %d files, then %+v, %v", told, m, err)
	}
}

// All pages of a manifest must be of the same export, and may become ready later.
func TestManifestPagesAgree(t *testing.T) {
	t.Parallel()
	second := page("2", "")
	server, _ := script(t, respond(200, nil, page("1", "/2")), respond(202, nil, ""), respond(200, nil, second))
	c := clientAt(t, server.URL)
	if m, err := c.Wait(t.Context(), bulk.Job{StatusURL: server.URL + "/1"}, nil); err != nil || len(m.Output) != 2 {
		t.Errorf("got %+v, %v", m, err)
	}
	for says, other := range map[string]string{
		"its transactionTime differs":     strings.ReplaceAll(second, "2026-03", "2026-04"),
		"its requiresAccessToken differs": strings.ReplaceAll(second, "true", "false"),
	} {
		server, _ = script(t, respond(200, nil, page("1", "/2")), respond(200, nil, other))
		_, err := clientAt(t, server.URL).Wait(t.Context(), bulk.Job{StatusURL: server.URL + "/1"}, nil)
		wantError(t, err, transport.Broken, says)
	}
}

func TestFileHosts(t *testing.T) {
	t.Parallel()
	storage := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		io.WriteString(w, content)
	})
	f := bulk.File{Type: "Patient", URL: storage.URL + "/1"}
	hosts := func(list ...string) func(*bulk.Options) { return func(o *bulk.Options) { o.FileHosts = list } }
	c := clientAt(t, "https://h.example", bearer(secret), hosts(storage.URL))
	for _, wantsToken := range []bool{true, false} { // LinuxForHealth contradicts itself
		if got, _, err := read(t.Context(), c, &bulk.Manifest{RequiresAccessToken: wantsToken}, f); err != nil || got != content {
			t.Errorf("got %q, %v", got, err)
		}
	}
	_, _, err := read(t.Context(), clientAt(t, "https://h.example", hosts("https://other.example")), &bulk.Manifest{}, f)
	wantHint(t, wantError(t, err, transport.Broken, "not one of the allowed file hosts"), "add that origin to the source's file_hosts")
}

// A file that drips is requested no more often than one that makes no progress.
func TestStreamOfADrippingServer(t *testing.T) {
	t.Parallel()
	server, requests := script(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			io.WriteString(w, "{")
			http.NewResponseController(w).Flush()
			<-time.After(time.Millisecond)
		}
	})
	c := clientAt(t, server.URL, func(o *bulk.Options) {
		o.HTTP = transport.New(transport.Options{PaceTimeout: 30 * time.Millisecond})
		o.FileAttempts = 3
	})
	_, _, err := readURL(t, c, server.URL)
	wantError(t, err, transport.Broken, "too slowly", "3 attempts")
	if requests.Load() != 3 {
		t.Errorf("got %d requests, want 3", requests.Load())
	}
}

// A host that throttles gets fewer concurrent requests, and the pause that it asks for.
func TestStreamsObeyAThrottlingHost(t *testing.T) {
	t.Parallel()
	var open atomic.Int64
	server := newServer(t, bulktest.Options{NoAuth: true})
	server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		n := open.Add(1)
		defer open.Add(-1)
		if n > 2 {
			bulktest.Respond(429, http.Header{"Retry-After": {"0"}}, "")(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}})
	c := clientAt(t, server.FHIR())
	_, m := export(t, c)
	results := make(chan error)
	for range 24 {
		go func() {
			_, _, err := read(context.Background(), c, m, m.Output[0])
			results <- err
		}()
	}
	for range 24 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// A manifest is read as a stream, so that its length costs no more memory than its files.
func TestManifestOfManyFiles(t *testing.T) {
	t.Parallel()
	const files = 50_000
	var b strings.Builder
	b.WriteString(`{"output":[`)
	for i := range files {
		fmt.Fprintf(&b, `{"type":"Patient","url":"/%d?sig=%0400d","count":1},`, i, i)
	}
	m, server, err := manifestOf(t, strings.TrimSuffix(b.String(), ",")+`],"transactionTime":"2026-01-01T00:00:00Z"}`)
	if err != nil || len(m.Output) != files || !strings.HasPrefix(m.Output[files-1].URL, server+"/49999?") {
		t.Errorf("got %v", err)
	}
}
