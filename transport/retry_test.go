package transport_test

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
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

func TestRetryingStopsWithTheContext(t *testing.T) {
	t.Parallel()
	for _, answered := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		var log strings.Builder
		patient := quick
		patient.Log = slog.New(slog.NewTextHandler(&log, nil))
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			calls++
			cancel()
			if answered {
				return answer(r, 503, nil, ""), nil
			}
			return nil, errors.New("the network falters")
		})}
		resp, err := transport.Retrying(client, patient).Do(newRequest(t, ctx, http.MethodGet, "https://h.example/", ""))
		if calls != 1 || log.Len() > 0 {
			t.Errorf("answered %v: %d calls, want 1, and the log %q", answered, calls, log.String())
		}
		if (resp == nil) == (err == nil) {
			t.Errorf("answered %v: got %v and %v", answered, resp, err)
		}
	}
}

// [http.RoundTripper] forbids a response together with an error; net/http writes to the
// standard logger if it gets both.
func TestRetryingGivesAnswerOrError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	next := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		cancel()
		return answer(r, 200, nil, ""), nil
	})}
	retrying := transport.Retrying(next, quick).Transport
	resp, err := retrying.RoundTrip(newRequest(t, ctx, http.MethodGet, "https://h.example/", ""))
	if (resp == nil) == (err == nil) {
		t.Errorf("got %v and %v", resp, err)
	}
}

func TestRetryingCanceledInItsPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return answer(r, 503, http.Header{"Retry-After": {"60"}}, ""), nil
		})}
		start := time.Now()
		_, err := transport.Retrying(client, transport.Retry{}).Do(newRequest(t, ctx, http.MethodGet, "https://h.example/", ""))
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
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

// Retry-After is clamped to MinWait and MaxWait: some servers ask for two hours.
func TestRetryingClampsRetryAfter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		retryAfter func(now time.Time) string
		lo, hi     time.Duration
	}{
		{"0", func(time.Time) string { return "0" }, time.Second, time.Second},
		{"10", func(time.Time) string { return "10" }, 10 * time.Second, 10 * time.Second},
		{"7200", func(time.Time) string { return "7200" }, time.Minute, time.Minute},
		{"in 3 hours", func(now time.Time) string { return now.Add(3 * time.Hour).UTC().Format(http.TimeFormat) }, time.Minute, time.Minute},
		{"an hour ago", func(now time.Time) string { return now.Add(-time.Hour).UTC().Format(http.TimeFormat) }, time.Second, time.Second},
		{"garbage", func(time.Time) string { return "soon" }, time.Second / 2, time.Second},
		{"absent", func(time.Time) string { return "" }, time.Second / 2, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if calls++; calls > 1 {
						return answer(r, 200, nil, ""), nil
					}
					return answer(r, 503, http.Header{"Retry-After": {test.retryAfter(time.Now())}}, ""), nil
				})}
				start := time.Now()
				resp, err := get(t, transport.Retrying(client, transport.Retry{MinWait: time.Second, MaxWait: time.Minute}), "https://h.example/")
				if err != nil || resp.StatusCode != 200 {
					t.Fatal(resp, err)
				}
				if waited := time.Since(start); waited < test.lo || waited > test.hi {
					t.Errorf("waited %v, want %v to %v", waited, test.lo, test.hi)
				}
			})
		})
	}
}

func TestRetryingTellsItsLog(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	calls := 0
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		switch calls++; calls {
		case 1:
			return answer(r, 503, nil, "SECRET"), nil
		case 2:
			return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New("the network falters")}
		}
		return answer(r, 200, nil, ""), nil
	})}
	r := quick
	r.Log = slog.New(slog.NewTextHandler(&log, nil))
	if _, err := get(t, transport.Retrying(client, r), "https://h.example/?SECRET"); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); strings.Count(got, "\n") != 2 || strings.Contains(got, "SECRET") || strings.Count(got, "url=https://h.example/?…") != 2 ||
		!strings.Contains(got, "status=503") || !strings.Contains(got, `error="the network falters"`) {
		t.Errorf("got the log\n%s", got)
	}
}

// The log says of every failed attempt whether another follows.
func TestRetryingLogsTheLastAttempt(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return answer(r, 503, nil, ""), nil
	})}
	r := quick
	r.Max, r.Log = 2, slog.New(slog.NewTextHandler(&log, nil))
	retrying := transport.Retrying(client, r)
	for range 2 { // each request has attempts of its own
		log.Reset()
		if _, err := get(t, retrying, "https://h.example/"); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Split(log.String(), "\n"); len(lines) != 4 || !strings.Contains(lines[0], "; retrying") ||
			!strings.Contains(lines[1], "; retrying") || !strings.Contains(lines[2], "; giving up") {
			t.Errorf("got the log\n%s", log.String())
		}
	}
}
