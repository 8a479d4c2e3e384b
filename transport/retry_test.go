package transport_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fhirkiln/transport"
)

func TestRetryingTransientFailures(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]http.HandlerFunc{
		"408":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(408) },
		"425":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(425) },
		"429":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"500":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"502 html":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); io.WriteString(w, "<html>") },
		"503":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"504":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(504) },
		"connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen visits
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if seen.add(r) < 3 {
					fail(w, r)
				}
			})
			resp, err := transport.Retrying(newClient(t, transport.Options{}), quick).
				Do(newRequest(t, t.Context(), http.MethodPost, server.URL, "the body"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if want := []string{"the body", "the body", "the body"}; resp.StatusCode != 200 || !slices.Equal(seen.body, want) {
				t.Errorf("got status %d after the bodies %q", resp.StatusCode, seen.body)
			}
		})
	}
}

func TestRetryingGivesTheLastAnswer(t *testing.T) {
	t.Parallel()
	var seen visits
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		number := seen.add(r)
		w.WriteHeader(503)
		io.WriteString(w, "try "+strconv.Itoa(number))
	})
	resp, err := transport.Retrying(newClient(t, transport.Options{}), quick).Do(newRequest(t, t.Context(), http.MethodGet, server.URL, ""))
	if err != nil {
		t.Fatal(err)
	}
	body, err := transport.ReadBody(resp, 100)
	if resp.StatusCode != 503 || string(body) != "try 4" || err != nil {
		t.Errorf("got %d %q %v", resp.StatusCode, body, err)
	}
	if seen.count() != 1+quick.Max {
		t.Errorf("the server got %d requests, want %d", seen.count(), 1+quick.Max)
	}
}

func TestRetryingLeavesTheFinalAlone(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 202, 204, 304, 400, 401, 403, 404, 409, 410, 422, 501} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			var seen visits
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				seen.add(r)
				w.WriteHeader(status)
			})
			resp, err := get(t, transport.Retrying(newClient(t, transport.Options{}), quick), server.URL)
			if err != nil || resp.StatusCode != status || seen.count() != 1 {
				t.Errorf("got %v, %v after %d requests", resp, err, seen.count())
			}
		})
	}
}

func TestRetryingLeavesPlainServersAlone(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	ctx, connections := counting(t.Context())
	https := strings.Replace(server.URL, "http:", "https:", 1) + "/?SECRET"
	resp, err := transport.Retrying(newClient(t, transport.Options{}), quick).Do(newRequest(t, ctx, http.MethodGet, https, ""))
	if err == nil {
		resp.Body.Close()
		t.Fatal("there was an answer")
	}
	if connections.Load() != 1 {
		t.Errorf("%d connections were asked for, want 1", connections.Load())
	}
	e := asError(t, transport.NoAnswer(ctx, "asking", https, err))
	if e.Kind != transport.NotThere || !strings.Contains(e.Hint, "speaks http") || !strings.HasSuffix(e.Error(), "server gave HTTP response to HTTPS client") || strings.Contains(e.Error(), "SECRET") {
		t.Errorf("got kind %d, %q, hint %q", e.Kind, e, e.Hint)
	}
}

func TestRetryingLeavesCertificatesAlone(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that fails
	server.StartTLS()
	t.Cleanup(server.Close)
	ctx, connections := counting(t.Context())
	resp, err := transport.Retrying(newClient(t, transport.Options{}), quick).Do(newRequest(t, ctx, http.MethodGet, server.URL+"/?SECRET", ""))
	if err == nil {
		resp.Body.Close()
		t.Fatal("an unknown certificate was taken")
	}
	if connections.Load() != 1 {
		t.Errorf("%d connections were asked for, want 1", connections.Load())
	}
	e := asError(t, transport.NoAnswer(ctx, "asking", server.URL+"/?SECRET", err))
	if !strings.Contains(e.Error(), "certificate") || strings.Contains(e.Error(), "SECRET") {
		t.Errorf("got %q", e)
	}
	if e.Kind != transport.NotThere || !strings.Contains(e.Hint, "certificate") {
		t.Errorf("got kind %d, hint %q: to run again will not help", e.Kind, e.Hint)
	}
}

func TestRetryingAsksAgain(t *testing.T) {
	t.Parallel()
	calls := 0
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		calls++
		return answer(r, 503, nil, ""), nil
	})}
	r := quick
	r.Again = func(resp *http.Response, err error) bool { return calls < 2 }
	resp, err := get(t, transport.Retrying(client, r), "https://h.example/")
	if err != nil || resp.StatusCode != 503 || calls != 2 {
		t.Errorf("got %v, %v after %d calls", resp, err, calls)
	}
}

// A negative Max means a single attempt, as zero is the default.
func TestRetryNever(t *testing.T) {
	t.Parallel()
	requests := 0
	client := transport.Retrying(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		requests++
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})}, transport.Retry{Max: -1, MinWait: time.Millisecond, MaxWait: time.Millisecond})
	resp, err := get(t, client, "https://h.example/")
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || requests != 1 {
		t.Errorf("%d requests, %v", requests, err)
	}
}
