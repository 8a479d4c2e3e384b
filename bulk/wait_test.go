package bulk_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

// kicked returns a server with one export under way.
func kicked(t *testing.T, o bulktest.Options, edit ...func(*bulk.Options)) (*bulktest.Server, *bulk.Client, bulk.Job) {
	t.Helper()
	server := newServer(t, o)
	c := newClient(t, server, edit...)
	job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
	if err != nil {
		t.Fatal(err)
	}
	return server, c, job
}

const acceptStatus = "application/json, application/fhir+json;q=0.9"

func TestWait(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	server, c, job := kicked(t, bulktest.Options{Polls: 3, TransactionTime: func() time.Time { return start }})
	server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: bulktest.EditHead(func(status int, h http.Header) int {
		h.Set("X-Progress", " 50\t% "+strings.Repeat("done ", 50))
		return status
	})})
	server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: bulktest.EditHead(func(status int, h http.Header) int {
		h.Del("X-Progress")
		h.Del("Retry-After")
		return status
	})})
	var progress []string
	m, err := c.Wait(t.Context(), job, func(p bulk.Progress) {
		progress = append(progress, p.Text)
		if p.Next < time.Millisecond || p.Next > 2*time.Millisecond {
			t.Errorf("the next look is in %v", p.Next)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(progress) != 3 || progress[0] != "50 % "+strings.Repeat("done ", 19) || progress[1] != "" || !strings.HasPrefix(progress[2], "counting") {
		t.Errorf("got the progress %q", progress)
	}
	if !m.TransactionTime.Equal(start) || m.TransactionTimeText != "2026-01-02T03:04:05.678Z" || !m.RequiresAccessToken {
		t.Errorf("got %+v", m)
	}
	var types []string
	for _, f := range m.Output {
		types = append(types, f.Type)
		if !strings.HasPrefix(f.URL, server.URL()) || f.Count < 1 {
			t.Errorf("got %+v", f)
		}
	}
	if diff := cmp.Diff([]string{"Patient", "Coverage", "Group"}, types); diff != "" || m.Deleted != nil || m.Errors != nil {
		t.Errorf("got %d deleted, %d errors, other types (-want +got):\n%s", len(m.Deleted), len(m.Errors), diff)
	}
	for _, r := range requestsOf(server, bulktest.StatusEndpoint) {
		if r.Method != "GET" || r.Header.Get("Accept") != acceptStatus || r.Header.Get("Prefer") != "respond-async" {
			t.Errorf("got %s, %v", r.Method, r.Header)
		}
	}
	if again, err := c.Wait(t.Context(), job, nil); err != nil || !cmp.Equal(again, m) {
		t.Errorf("waiting again gave %+v, %v", again, err)
	}
}

func TestWaitGoesThroughOutages(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]bulktest.Behavior{
		"429":                      bulktest.Respond(429, http.Header{"Retry-After": {"0"}}, ""),
		"429 with a final outcome": bulktest.Outcome(429, "too-costly", "polled too often"),
		"429 with a far date":      bulktest.Respond(429, http.Header{"Retry-After": {"Fri, 31 Dec 9999 23:59:59 GMT"}}, ""),
		"500 html":                 bulktest.Respond(500, nil, "<html>"),
		"500 transient":            bulktest.Outcome(500, "transient", "try again"),
		"500 timeout":              bulktest.Outcome(500, "timeout", "try again"),
		"502":                      bulktest.Respond(502, nil, ""),
		"503 html":                 bulktest.Respond(503, http.Header{"Retry-After": {"7200"}}, "<html>"),
		"503 empty":                bulktest.Respond(503, nil, ""),
		"503 with a final outcome": bulktest.Outcome(503, "processing", "a gateway's own words"),
		"401 transient":            bulktest.Outcome(401, "transient", "no directory"),
		"504":                      bulktest.Respond(504, nil, ""),
		"409 transient":            bulktest.Outcome(409, "lock-error", "busy"),
		"connection lost":          func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
		"connection reset":         reset,
		"manifest cut":             bulktest.CutBody(20),
		"manifest cut before it":   bulktest.CutBody(0),
		"failure cut":              bulktest.Chain(bulktest.CutBody(20), bulktest.Outcome(500, "processing", "this cannot be read")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, c, job := kicked(t, bulktest.Options{})
			server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: 3, Do: fault})
			m, err := c.Wait(t.Context(), job, func(bulk.Progress) { t.Error("progress of a failure") })
			if err != nil || len(m.Output) != 3 {
				t.Errorf("got %+v, %v", m, err)
			}
		})
	}
}

// An outage of the token endpoint is waited out too.
func TestWaitGoesThroughAnOutageOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	server, c, job := kicked(t, bulktest.Options{})
	server.ExpireTokens()
	server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Times: 3, Do: bulktest.CutBody(10)})
	if _, err := c.Wait(t.Context(), job, nil); err != nil {
		t.Error(err)
	}
	if n := len(requestsOf(server, bulktest.TokenEndpoint)); n != 1+3+1 {
		t.Errorf("got %d token requests, want 5", n)
	}
}

func TestWaitEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault bulktest.Behavior
		kind  transport.Kind
		text  string
		hint  string
	}{
		{"500 with a final outcome", bulktest.Outcome(500, "processing", "out of disk"), transport.Refused, "500 Internal Server Error: out of disk", "failed"},
		{"500, transient and final", bulktest.Respond(500, nil, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"transient"},{"severity":"fatal","code":"exception","diagnostics":"dead"}]}`),
			transport.Refused, "error transient; dead", "failed"},
		{"404", bulktest.Respond(404, nil, ""), transport.Refused, "404 Not Found", "start another"},
		{"404 that may pass", bulktest.Outcome(404, "transient", "gone"), transport.Refused, "gone", "start another"},
		{"410", bulktest.Outcome(410, "expired", "it has expired"), transport.Refused, "410 Gone: it has expired", "start another"},
		{"400", bulktest.Outcome(400, "invalid", "no"), transport.Refused, "400 Bad Request: no", "failed"},
		{"403", bulktest.Respond(403, nil, "<html>"), transport.Denied, "403", "another client"},
		{"401", bulktest.Respond(401, nil, ""), transport.Denied, "401", "your token may have expired"},
		{"501", bulktest.Respond(501, nil, ""), transport.NotThere, "501", ""},
		{"204", bulktest.Respond(204, nil, ""), transport.Broken, "204", ""},
		{"200 html", bulktest.Respond(200, nil, "<html>"), transport.NotThere, "a web page", "fhir:"},
		{"200 outcome", bulktest.Outcome(200, "processing", "out of disk"), transport.Refused, "out of disk", "instead of a manifest"},
		{"redirect into the clear", bulktest.Respond(302, http.Header{"Location": {"http://192.0.2.1/?" + secret}}, ""), transport.NotThere, "http://", "https://"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, c, job := kicked(t, bulktest.Options{})
			server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: test.fault})
			_, err := c.Wait(t.Context(), job, nil)
			e := wantError(t, err, test.kind, "waiting for the export at "+server.URL(), test.text)
			if test.hint != "" {
				wantHint(t, e, test.hint)
			}
			want := 1
			switch test.name {
			case "401": // with another token
				want = 2
			case "404", "204": // may come from a gateway
				want = 4
			}
			if n := len(requestsOf(server, bulktest.StatusEndpoint)); n != want {
				t.Errorf("asked %d times, want %d", n, want)
			}
		})
	}
}

func TestWaitCanceled(t *testing.T) {
	t.Parallel()
	why := errors.New("enough")
	t.Run("between two looks", func(t *testing.T) {
		t.Parallel()
		_, c, job := kicked(t, bulktest.Options{Polls: 1000})
		ctx, cancel := context.WithCancelCause(t.Context())
		if _, err := c.Wait(ctx, job, func(bulk.Progress) { cancel(why) }); err != why {
			t.Errorf("got %v, want the cause", err)
		}
	})
	for name, sent := range map[string]string{"before the answer": "", "within the manifest": `{"transactionTime":`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, c, job := kicked(t, bulktest.Options{})
			ctx, cancel := context.WithCancelCause(t.Context())
			server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				if sent != "" {
					w.Write([]byte(sent))
					http.NewResponseController(w).Flush()
				}
				cancel(why)
				<-r.Context().Done()
			}})
			if _, err := c.Wait(ctx, job, nil); err != why {
				t.Errorf("got %v, want the cause", err)
			}
		})
	}
}

// A job that no kick-off returned is refused at once.
func TestEmptyJob(t *testing.T) {
	t.Parallel()
	c := clientAt(t, "https://h.example")
	_, err := c.Wait(t.Context(), bulk.Job{}, nil)
	for doing, err := range map[string]error{"waiting": err, "deleting": c.Delete(t.Context(), bulk.Job{})} {
		if err == nil || !strings.Contains(err.Error(), doing) || !strings.Contains(err.Error(), "no status URL") {
			t.Errorf("%s: got %v", doing, err)
		}
	}
}

// Options.Retry can forbid retries.
func TestNoRetries(t *testing.T) {
	t.Parallel()
	requests := 0
	c := clientAt(t, "https://h.example", func(o *bulk.Options) {
		o.Retry.Max = -1
		o.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			requests++
			return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})}
	})
	err := c.Delete(t.Context(), bulk.Job{StatusURL: "https://h.example/1"})
	if wantError(t, err, transport.Unavailable); requests != 1 {
		t.Errorf("%d requests, want 1", requests)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	server, c, job := kicked(t, bulktest.Options{})
	for range 2 { // the second time, the server answers 404
		if err := c.Delete(t.Context(), job); err != nil {
			t.Error(err)
		}
	}
	deletes := requestsOf(server, bulktest.DeleteEndpoint)
	if len(deletes) != 2 || deletes[0].Method != "DELETE" || deletes[0].Header.Get("Accept") != acceptStatus || deletes[0].Status != 202 || deletes[1].Status != 404 {
		t.Errorf("got %+v", deletes)
	}
	before := len(server.Requests())
	if err := c.Delete(t.Context(), bulk.Job{Manifest: &bulk.Manifest{}}); err != nil || len(server.Requests()) != before {
		t.Errorf("a job that the server does not keep: %v, %d requests", err, len(server.Requests())-before)
	}
	for _, test := range []struct {
		fault bulktest.Behavior
		kind  transport.Kind
		tries int
	}{
		{bulktest.Outcome(403, "forbidden", "no DELETE here"), transport.Denied, 1}, // 1upHealth's gateway
		{bulktest.Respond(405, nil, ""), transport.NotThere, 1},
		{bulktest.Respond(503, nil, ""), transport.Unavailable, 4},
		{bulktest.Respond(307, http.Header{"Location": {"/other"}}, ""), transport.NotThere, 1},
	} {
		server, c, job := kicked(t, bulktest.Options{})
		server.Inject(bulktest.Fault{On: bulktest.DeleteEndpoint, Times: bulktest.Always, Do: test.fault})
		wantError(t, c.Delete(t.Context(), job), test.kind, "deleting the export at the server")
		if n := len(requestsOf(server, bulktest.DeleteEndpoint)); n != test.tries {
			t.Errorf("tried %d times, want %d", n, test.tries)
		}
	}
	for _, status := range []int{200, 204, 410} {
		server, c, job := kicked(t, bulktest.Options{})
		server.Inject(bulktest.Fault{On: bulktest.DeleteEndpoint, Do: bulktest.Respond(status, nil, "")})
		if err := c.Delete(t.Context(), job); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}
