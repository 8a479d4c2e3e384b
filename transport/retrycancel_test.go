package transport_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/transport"
)

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
