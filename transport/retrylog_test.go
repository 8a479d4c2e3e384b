package transport_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"fhirkiln/transport"
)

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
