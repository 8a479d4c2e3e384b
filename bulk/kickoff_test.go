package bulk_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

func TestKickOffSendsEveryParameter(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 2*3600)
	full := bulk.Request{
		Types:       []string{"Patient", "Coverage"},
		Since:       time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, zone),
		Until:       time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC),
		Elements:    []string{"id", "Patient.name"},
		TypeFilters: []string{"Coverage?status=active,draft", "Patient?_id=1&_lastUpdated=ge2020"},
	}
	query := url.Values{
		"_outputFormat": {"application/fhir+ndjson"},
		"_type":         {"Patient,Coverage"},
		"_since":        {"2026-01-02T01:04:05.678Z"},
		"_until":        {"2026-02-03T00:00:00.000Z"},
		"_elements":     {"id,Patient.name"},
		"_typeFilter":   {"Coverage?status=active,draft", "Patient?_id=1&_lastUpdated=ge2020"},
	}
	const body = `{"resourceType":"Parameters","parameter":[
		{"name":"_outputFormat","valueString":"application/fhir+ndjson"},
		{"name":"_type","valueString":"Patient,Coverage"},
		{"name":"_since","valueInstant":"2026-01-02T01:04:05.678Z"},
		{"name":"_until","valueInstant":"2026-02-03T00:00:00.000Z"},
		{"name":"_elements","valueString":"id,Patient.name"},
		{"name":"_typeFilter","valueString":"Coverage?status=active,draft"},
		{"name":"_typeFilter","valueString":"Patient?_id=1&_lastUpdated=ge2020"}%s]}`
	for _, level := range []struct {
		level    bulk.Level
		group    string
		path     string
		patients string
	}{
		{bulk.System, "", "/fhir/$export", ""},
		{bulk.Patient, "", "/fhir/Patient/$export", `,{"name":"patient","valueReference":{"reference":"Patient/1"}},{"name":"patient","valueReference":{"reference":"Patient/2"}}`},
		{bulk.Group, "a/b ?", "/fhir/Group/a%2Fb%20%3F/$export", `,{"name":"patient","valueReference":{"reference":"Patient/1"}}`},
	} {
		for _, post := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, post %v", level.level, post), func(t *testing.T) {
				t.Parallel()
				server := newServer(t, bulktest.Options{})
				request := full
				request.Level, request.Group, request.Post = level.level, level.group, post
				if post && level.patients != "" {
					request.Patients = []string{"Patient/1", "Patient/2"}[:strings.Count(level.patients, "reference\"")]
				}
				job, err := newClient(t, server).KickOff(t.Context(), request)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(job.StatusURL, server.FHIR()) || job.Manifest != nil {
					t.Errorf("got %+v", job)
				}
				sent := requestsOf(server, bulktest.KickOffEndpoint)
				if len(sent) != 1 {
					t.Fatalf("got %d kick-offs", len(sent))
				}
				r := sent[0]
				if r.Header.Get("Accept") != "application/fhir+json" || r.Header.Get("Prefer") != "respond-async" ||
					!strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
					t.Errorf("got the header %v", r.Header)
				}
				path, _, _ := strings.Cut(r.RequestURI, "?")
				if path != level.path {
					t.Errorf("got the path %s, want %s", path, level.path)
				}
				if !post {
					if diff := cmp.Diff(query, r.Query); r.Method != "GET" || len(r.Body) != 0 || diff != "" {
						t.Errorf("got %s, body %q, another query (-want +got):\n%s", r.Method, r.Body, diff)
					}
					return
				}
				var want, got any
				err = errors.Join(json.Unmarshal(fmt.Appendf(nil, body, level.patients), &want), json.Unmarshal(r.Body, &got))
				if diff := cmp.Diff(want, got); r.Method != "POST" || r.RequestURI != level.path || err != nil || diff != "" {
					t.Errorf("got %s %s, %v, another body (-want +got):\n%s", r.Method, r.RequestURI, err, diff)
				}
				if got := r.Header.Get("Content-Type"); got != "application/fhir+json" {
					t.Errorf("got the Content-Type %q", got)
				}
			})
		}
	}
}

func TestKickOffSendsNoZeroParameters(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	if _, err := newClient(t, server).KickOff(t.Context(), bulk.Request{Level: bulk.System}); err != nil {
		t.Fatal(err)
	}
	want := url.Values{"_outputFormat": {"application/fhir+ndjson"}}
	if diff := cmp.Diff(want, requestsOf(server, bulktest.KickOffEndpoint)[0].Query); diff != "" {
		t.Errorf("another query (-want +got):\n%s", diff)
	}
}

func TestKickOffRefusesBadRequestsItself(t *testing.T) {
	t.Parallel()
	server, requests := script(t, respond(500, nil, ""))
	for _, r := range []bulk.Request{
		{},
		{Level: "all"},
		{Level: bulk.Group},
		{Level: bulk.Patient, Patients: []string{"Patient/1"}},
	} {
		if _, err := clientAt(t, server.URL).KickOff(t.Context(), r); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests were sent", requests.Load())
	}
}

func TestKickOffStatusURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, header, value, want string }{
		{"absolute", "Content-Location", "{server}/fhir/job/1?t=" + secret, "{server}/fhir/job/1?t=" + secret},
		{"path", "Content-Location", "/fhir/job/1", "{server}/fhir/job/1"},
		{"relative", "Content-Location", "job/1", "{server}/fhir/job/1"},
		{"without a scheme", "Content-Location", "//{host}/job/1", "{server}/job/1"},
		{"Location instead", "Location", "{server}/job/1", "{server}/job/1"},
		{"both missing", "", "", ""},
		{"a comma of its own", "Content-Location", " /job/1?a=1,2,3 , /job/2", "{server}/job/1?a=1,2,3"},
		{"a list of https", "Content-Location", "{server}/job/1,https://h.example/job/2", "{server}/job/1"},
		{"a list of http", "Content-Location", "{server}/job/1, http://h.example/job/2", "{server}/job/1"},
		{"nothing, and one", "Content-Location", " ,job/1", "{server}/fhir/job/1"},
		{"too long", "Content-Location", "/job/" + strings.Repeat("1", 9<<10), ""},
		{"unreadable", "Content-Location", "http://[::1/" + secret, ""},
		{"another origin", "Content-Location", "http://192.0.2.1/job/1?" + secret, ""},
		{"another port", "Content-Location", "http://127.0.0.1:1/job/1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if test.header != "" {
					w.Header().Set(test.header, strings.NewReplacer("{server}", "http://"+r.Host, "{host}", r.Host).Replace(test.value))
				}
				w.WriteHeader(http.StatusAccepted)
			})
			job, err := clientAt(t, server.URL+"/fhir", bearer("x")).KickOff(t.Context(), bulk.Request{Level: bulk.System})
			if want := strings.ReplaceAll(test.want, "{server}", server.URL); want != "" {
				if err != nil || job.StatusURL != want {
					t.Errorf("got %q, %v, want %q", job.StatusURL, err, want)
				}
				return
			}
			e := wantError(t, err, transport.Broken, "starting the export at "+server.URL+"/fhir/$export")
			wantHint(t, e, "")
		})
	}
}

func TestKickOffAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	server, requests := script(t, respond(200, nil, `{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":false,
		"output":[{"type":"Patient","url":"/files/1","count":2}]}`))
	c := clientAt(t, server.URL)
	job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Wait(t.Context(), job, func(bulk.Progress) { t.Error("progress of a job that is done") })
	if err != nil {
		t.Fatal(err)
	}
	want := []bulk.File{{Type: "Patient", URL: server.URL + "/files/1", Count: 2}}
	if diff := cmp.Diff(want, m.Output); diff != "" || job.StatusURL != "" {
		t.Errorf("got the status URL %q, other files (-want +got):\n%s", job.StatusURL, diff)
	}
	if requests.Load() != 1 {
		t.Errorf("got %d requests, want 1", requests.Load())
	}
}

func TestKickOffFailures(t *testing.T) {
	t.Parallel()
	const outcome = `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"_type: no such\ntype"},
		{"severity":"error","code":"x","details":{"text":"second"}},{"severity":"error","code":"y","details":{"coding":[{"display":"third"}]}},{"severity":"fatal","code":"z"}]}`
	for _, test := range []struct {
		name     string
		answer   http.HandlerFunc
		kind     transport.Kind
		text     string
		hint     string
		requests int64
	}{
		{"400 outcome", respond(400, nil, outcome), transport.Refused, "400 Bad Request: _type: no such type; second; third; fatal z", "types", 1},
		{"400 silent", respond(400, nil, ""), transport.Refused, "400 Bad Request", "types", 1},
		{"400 other JSON", respond(400, nil, `{"message":"`+secret+`"}`), transport.Refused, "400 Bad Request", "types", 1},
		{"406", respond(406, nil, ""), transport.Refused, "406", "types", 1},
		{"403 html", respond(403, nil, "\n <html>"+secret), transport.Denied, "403 Forbidden: a web page", "scope", 1},
		{"401", respond(401, nil, ""), transport.Denied, "401 Unauthorized", "may have expired", 1}, // no credentials: nothing to renew
		{"404", respond(404, nil, ""), transport.NotThere, "404 Not Found", "fhir:", 1},
		{"405", respond(405, nil, ""), transport.NotThere, "405", "fhir:", 1},
		{"501", respond(501, nil, ""), transport.NotThere, "501", "fhir:", 1},
		{"200 html", respond(200, nil, "<html>log in"), transport.NotThere, "got a web page instead of the manifest", "fhir:", 1},
		{"204", respond(204, nil, ""), transport.Broken, "204", "", 1},
		{"500", respond(500, nil, ""), transport.Unavailable, "500", "later", 1},
		{"502", respond(502, nil, "<html>"), transport.Unavailable, "502", "later", 1},
		{"504", respond(504, nil, ""), transport.Unavailable, "504", "later", 1},
		{"429 forever", respond(429, http.Header{"Retry-After": {"7200"}}, ""), transport.Unavailable, "429", "another export", 4},
		{"503 forever", respond(503, http.Header{"Retry-After": {"7200"}}, outcome), transport.Unavailable, "503 Service Unavailable: _type", "later", 4},
		{"lost", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, transport.Unavailable, "EOF; the export may have started anyway", "owner", 1},
		{"redirect of a POST", respond(307, http.Header{"Location": {"/other?" + secret}}, ""), transport.NotThere, "redirect", "elsewhere", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, requests := script(t, test.answer)
			_, err := clientAt(t, server.URL).KickOff(t.Context(), bulk.Request{Level: bulk.Patient, Post: true})
			e := wantError(t, err, test.kind, "starting the export at "+server.URL+"/Patient/$export", test.text)
			if test.hint != "" {
				wantHint(t, e, test.hint)
			}
			if requests.Load() != test.requests {
				t.Errorf("got %d requests, want %d", requests.Load(), test.requests)
			}
		})
	}
}

// An error repeats words that are in the config, but not what else the server says about them.
func TestKickOffErrorsNameWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	server, _ := script(t, respond(400, nil, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"value",
		"diagnostics":"_type: Pateint is not a resource type; there is no Group/g-17; Okafor"}]}`))
	_, err := clientAt(t, server.URL).KickOff(t.Context(), bulk.Request{Level: bulk.Group, Group: "g-17", Types: []string{"Pateint"}})
	wantError(t, err, transport.Refused, "_type: Pateint is not a resource type; there is no Group/g-17; …")
}
