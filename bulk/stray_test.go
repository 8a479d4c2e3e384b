package bulk_test

import (
	"net/http"
	"testing"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

// Once a server has answered as expected, sudden odd responses are not from the server itself.
func TestWaitGoesThroughWhatStandsInTheWay(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]bulktest.Behavior{
		"a web page":              bulktest.Respond(200, nil, "<html>log in"),
		"a web page of a 405":     bulktest.Respond(405, nil, "<html>"),
		"404":                     bulktest.Respond(404, nil, ""),
		"400 of a gateway":        bulktest.Respond(400, nil, `{"message":"Bad Request"}`),
		"406":                     bulktest.Respond(406, nil, ""),
		"an empty 200":            bulktest.Respond(200, nil, ""),
		"a text with 200":         bulktest.Respond(200, nil, "OK"),
		"other JSON":              bulktest.Respond(200, nil, `{"status":"UP"}`),
		"a redirect in the clear": bulktest.Respond(302, http.Header{"Location": {"http://192.0.2.1/login"}}, ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, c, job := kicked(t, bulktest.Options{Polls: 2})
			server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Skip: 1, Times: 3, Do: fault})
			if m, err := c.Wait(t.Context(), job, nil); err != nil || len(m.Output) != 3 {
				t.Errorf("got %+v, %v", m, err)
			}
		})
	}
	for name, test := range map[string]struct {
		fault bulktest.Behavior
		kind  transport.Kind
		text  string
	}{
		"for ever":          {bulktest.Respond(200, nil, "<html>"), transport.NotThere, "a web page"},
		"a 404 for ever":    {bulktest.Respond(404, nil, ""), transport.Refused, "404 Not Found"},
		"an empty for ever": {bulktest.Respond(200, nil, ""), transport.Broken, "unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, c, job := kicked(t, bulktest.Options{Polls: 2}, func(o *bulk.Options) { o.Poll.Outage = 20 * time.Millisecond })
			server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Skip: 1, Times: bulktest.Always, Do: test.fault})
			_, err := c.Wait(t.Context(), job, nil)
			wantError(t, err, test.kind, test.text)
			if n := len(requestsOf(server, bulktest.StatusEndpoint)); n < 3 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// A refusal from the server itself ends the wait at once, though the export was running.
func TestWaitEndsWhileTheExportRuns(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]bulktest.Behavior{
		"404":             bulktest.Outcome(404, "not-found", "no such job"),
		"400":             bulktest.Outcome(400, "processing", "the job failed"),
		"410":             bulktest.Respond(410, nil, ""),
		"200 and outcome": bulktest.Outcome(200, "processing", "the job failed"),
		"a bad manifest":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := transport.Refused
			if fault == nil {
				fault, kind = bulktest.Respond(200, nil, `{"transactionTime":"2026-01-01T00:00:00Z","output":[{}]}`), transport.Broken
			}
			server, c, job := kicked(t, bulktest.Options{Polls: 2})
			server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Skip: 1, Times: bulktest.Always, Do: fault})
			_, err := c.Wait(t.Context(), job, nil)
			if e := wantError(t, err, kind); e.Stray {
				t.Errorf("%v is the server's own word", e)
			}
			if n := len(requestsOf(server, bulktest.StatusEndpoint)); n != 2 {
				t.Errorf("asked %d times, want 2", n)
			}
		})
	}
}

func TestSeparateExportStatus(t *testing.T) {
	t.Parallel()
	agreed := http.Header{"Content-Location": {"/job"}, "Preference-Applied": {"separate-export-status"}}
	status := func(code, body string) http.HandlerFunc {
		return respond(200, http.Header{"X-Export-Status": {code}}, body)
	}
	export := func(steps ...http.HandlerFunc) (*bulk.Manifest, error) {
		server, _ := script(t, steps...)
		c := clientAt(t, server.URL)
		job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System, SeparateStatus: true})
		if err != nil {
			return nil, err
		}
		return c.Wait(t.Context(), job, nil)
	}
	if _, err := export(respond(202, agreed, ""), status("202 Accepted", ""), status("503", ""), status("200", done)); err != nil {
		t.Error(err)
	}
	_, err := export(respond(202, agreed, ""), status("500", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","diagnostics":"dead"}]}`))
	wantError(t, err, transport.Refused, "dead")
	_, err = export(respond(202, agreed, ""), status("404", ""), status("200", done))
	wantError(t, err, transport.Refused, "404") // from the server itself, though without an OperationOutcome
	if _, err := export(respond(202, agreed, ""), respond(404, nil, ""), status("200", done)); err != nil {
		t.Errorf("a gateway's 404: %v", err)
	}
	if _, err := export(respond(202, http.Header{"Content-Location": {"/job"}}, ""), status("500", done)); err != nil {
		t.Errorf("the server did not agree to it: %v", err)
	}
}
