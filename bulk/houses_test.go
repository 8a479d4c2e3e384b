package bulk_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/transport"
)

// hapi answers like HAPI FHIR 8.4.0, as seen in responses of that version: its status URLs
// differ only in the query, files are Binary resources, and so on.
type hapi struct {
	*httptest.Server
	status  func(w http.ResponseWriter) // of the GET of the status URL
	deletes atomic.Int64
	delete  func(w http.ResponseWriter)
}

func newHAPI(t *testing.T) *hapi {
	t.Helper()
	h := &hapi{}
	mux := http.NewServeMux()
	mux.HandleFunc("/fhir/Patient/$export", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Location", h.URL+"/fhir/$export-poll-status?_jobId=f9501300-806f")
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("GET /fhir/$export-poll-status", func(w http.ResponseWriter, r *http.Request) { h.status(w) })
	mux.HandleFunc("DELETE /fhir/$export-poll-status", func(w http.ResponseWriter, r *http.Request) {
		h.deletes.Add(1)
		h.delete(w)
	})
	mux.HandleFunc("GET /fhir/Binary/a", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/fhir+ndjson;charset=UTF-8")
		io.WriteString(w, `{"resourceType":"Patient","id":"1"}`+"\n")
	})
	h.Server = httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h
}

func (h *hapi) outcome(status int, severity, said string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/fhir+json;charset=UTF-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"resourceType":"OperationOutcome","issue":[{"severity":%q,"code":"processing","diagnostics":%q}]}`, severity, said)
	}
}

// TestHAPIExport tests an export that succeeds. Its delete is answered with 404, because HAPI
// has nothing to delete once the export is complete.
func TestHAPIExport(t *testing.T) {
	t.Parallel()
	h := newHAPI(t)
	polls := 0
	h.status = func(w http.ResponseWriter) {
		if polls++; polls < 3 {
			w.Header().Set("X-Progress", "Build in progress - Status set to QUEUED at 2026-11-22T10:08:09.824+00:00")
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		fmt.Fprintf(w, `{"transactionTime":"2026-11-22T09:33:03.723+00:00","request":"%s/fhir/Patient/$export","requiresAccessToken":true,
			"output":[{"type":"Patient","url":"%s/fhir/Binary/a"}],"error":[]}`, h.URL, h.URL)
	}
	h.delete = h.outcome(http.StatusNotFound, "error", "Job instance <f9501300-806f> was already cancelled or has completed. Nothing to do.")
	c := clientAt(t, h.URL+"/fhir")
	job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.Patient})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Wait(t.Context(), job, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 11, 22, 9, 33, 3, 723e6, time.UTC); !m.TransactionTime.Equal(want) {
		t.Errorf("got the time %v", m.TransactionTime)
	}
	if len(m.Output) != 1 {
		t.Fatalf("got the output %+v", m.Output)
	}
	stream, err := c.Open(t.Context(), m, m.Output[0])
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if got, err := io.ReadAll(stream); err != nil || !strings.Contains(string(got), `"id":"1"`) {
		t.Errorf("got %q, %v", got, err)
	}
	if err := c.Delete(t.Context(), job); err != nil {
		t.Error(err)
	}
}

// TestHAPIFailedExport tests an export that fails. HAPI answers its delete with the same 500,
// however often it is sent.
func TestHAPIFailedExport(t *testing.T) {
	t.Parallel()
	h := newHAPI(t)
	h.status = h.outcome(http.StatusInternalServerError, "error", "HAPI-2239: you attempted to start a Patient Bulk Export, but the system has it disabled")
	h.delete = h.status
	c := clientAt(t, h.URL+"/fhir")
	job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.Patient})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Wait(t.Context(), job, nil)
	wantError(t, err, transport.Refused, "500")
	wantError(t, c.Delete(t.Context(), job), transport.Unavailable, "500")
	if n := h.deletes.Load(); n != 1 {
		t.Errorf("the delete was sent %d times", n)
	}
}

// TestHAPICanceledExport tests an export that somebody else has deleted: HAPI keeps answering
// 202, and waiting for the deadline would take a day.
func TestHAPICanceledExport(t *testing.T) {
	t.Parallel()
	h := newHAPI(t)
	h.status = func(w http.ResponseWriter) {
		w.Header().Set("X-Progress", "Build in progress - Status set to CANCELLED at 2026-11-22T10:08:09.824+00:00")
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusAccepted)
	}
	c := clientAt(t, h.URL+"/fhir", func(o *bulk.Options) { o.Poll.Deadline = 3 * time.Second })
	job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.Patient})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Wait(t.Context(), job, nil)
	wantError(t, err, transport.Refused, "canceled at the server")
}
