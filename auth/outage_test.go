package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/auth"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

func TestClientCredentialsRetriesTransientFailures(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Times: 2, Do: bulktest.Respond(503, nil, "")})
	if _, err := grantAt(t, server.TokenURL()).Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	requests := server.Requests()
	if len(requests) != 3 || string(requests[2].Body) != string(requests[0].Body) {
		t.Errorf("got %d requests", len(requests))
	}
}

// The pauses between the attempts run on a fake clock.
func TestClientCredentialsUnavailable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		do   roundTrip
		text string
	}{
		{"nobody listens", func(r *http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		}, "connection refused"},
		{"503 forever", func(r *http.Request) (*http.Response, error) {
			return answer(r, 503, "text/html", "<html>"), nil
		}, "503 Service Unavailable"},
		{"429 forever", func(r *http.Request) (*http.Response, error) {
			return answer(r, 429, "application/json", `{"error":"slow_down"}`), nil
		}, "slow_down"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				_, err := auth.ClientCredentials{TokenURL: "https://h.example/token?S3CR3T", ClientSecret: "S3CR3T",
					HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						tries++
						return test.do(r)
					})}}.Fetch(t.Context())
				e := wantError(t, err, transport.Unavailable, "getting a token at https://h.example/token?…", test.text)
				if !strings.Contains(e.Hint, "run again") {
					t.Errorf("the hint is %q", e.Hint)
				}
				if tries != 5 {
					t.Errorf("tried %d times, want 5", tries)
				}
			})
		})
	}
}

// A wait is logged.
func TestClientCredentialsTellsItsLog(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Do: bulktest.Respond(503, nil, "")})
	looks := 0
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if looks++; looks == 1 || r.Header.Get("Accept") != "application/json" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `{"token_endpoint":%q}`, server.TokenURL())
	})
	var log bytes.Buffer
	grant := grantAt(t, "")
	grant.Discover, grant.Log = base, slog.New(slog.NewTextHandler(&log, nil))
	if _, err := grant.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{base + "/.well-known/smart-configuration", server.TokenURL()} {
		if strings.Count(log.String(), "\"a request failed; retrying\" url="+url+" status=503") != 1 {
			t.Errorf("nothing of %s in the log\n%s", url, log.String())
		}
	}
}

func TestClientCredentialsCutAnswer(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Times: bulktest.Always, Do: bulktest.CutBody(10)})
	grant := grantAt(t, server.TokenURL())
	_, err := grant.Fetch(t.Context())
	wantError(t, err, transport.Unavailable)
	if n := len(server.Requests()); n != 5 {
		t.Errorf("sent %d times, want 5", n)
	}
}

// The network may also cut a response in its body, and a retry may work.
func TestClientCredentialsRetriesACutAnswer(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Times: 2, Do: bulktest.CutBody(10)})
	grant := grantAt(t, server.TokenURL())
	if _, err := grant.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(server.Requests()); n != 3 {
		t.Errorf("sent %d times, want 3", n)
	}
}

func TestClientCredentialsSilentAnswer(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"access_token":`)
		http.NewResponseController(w).Flush()
		<-r.Context().Done() // the client gives up
	})
	grant := grantAt(t, url)
	grant.HTTP = transport.New(transport.Options{StallTimeout: 30 * time.Millisecond})
	_, err := grant.Fetch(t.Context())
	wantError(t, err, transport.Unavailable, "getting a token", "no data received for 30ms")
}

func TestClientCredentialsCanceled(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Do: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		cancel(why)
		<-r.Context().Done()
	}})
	if _, err := grantAt(t, server.TokenURL()).Fetch(ctx); err != why {
		t.Errorf("got %v, want the cause", err)
	}
}
