package bulk_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"fhirkiln/bulk"
	"fhirkiln/transport"
)

// If a server names thousands of running exports, only some are requested.
func TestKickOffLooksAtSomeRunningExportsAlone(t *testing.T) {
	t.Parallel()
	var list []string
	for n := range 300 {
		list = append(list, fmt.Sprintf("/job/%d", n))
	}
	var kicks, looks atomic.Int64
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasSuffix(r.URL.Path, "$export"):
			looks.Add(1)
			w.WriteHeader(http.StatusAccepted)
		case kicks.Add(1) == 1:
			w.Header().Set("Content-Location", strings.Join(list, ","))
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			w.Header().Set("Content-Location", "/job/new")
			w.WriteHeader(http.StatusAccepted)
		}
	})
	job, err := clientAt(t, server.URL).KickOff(t.Context(), bulk.Request{Level: bulk.System})
	if err != nil || job.StatusURL != server.URL+"/job/new" || looks.Load() != 100 {
		t.Errorf("got %+v, %v after looking at %d exports, want 100", job, err, looks.Load())
	}
}

// Some servers answer 200 for an export that has only started.
func TestKickOffAcceptedWith200(t *testing.T) {
	t.Parallel()
	at := http.Header{"Content-Location": {"/job/1"}}
	for name, test := range map[string]struct {
		header http.Header
		body   string
		kind   transport.Kind
		want   bool
	}{
		"empty":                   {at, "", 0, true},
		"JSON":                    {at, `{"status":"accepted"}`, 0, true},
		"a text":                  {at, "accepted", 0, true},
		"a web page":              {at, "<html>", transport.NotThere, false},
		"an outcome":              {at, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing"}]}`, transport.Refused, false},
		"an outcome that informs": {at, `{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}`, 0, true},
		"a bad manifest":          {at, `{"transactionTime":"2026-01-01T00:00:00Z","output":[{}]}`, transport.Broken, false},
		"empty, and no location":  {nil, "", transport.Broken, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := script(t, respond(200, test.header, test.body))
			job, err := clientAt(t, server.URL).KickOff(t.Context(), bulk.Request{Level: bulk.System})
			if !test.want {
				wantError(t, err, test.kind)
				return
			}
			if err != nil || job.StatusURL != server.URL+"/job/1" || job.Manifest != nil {
				t.Errorf("got %+v, %v", job, err)
			}
		})
	}
}
