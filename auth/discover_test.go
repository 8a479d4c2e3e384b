package auth_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"fhirkiln/auth"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

func TestDiscover(t *testing.T) {
	t.Parallel()
	tokens := newServer(t, bulktest.Options{})
	for _, test := range []struct {
		name   string
		status int
		body   string
		kind   transport.Kind
		said   string
	}{
		{"good", 200, `{"token_endpoint":"` + tokens.TokenURL() + `"}`, -1, ""},
		{"behind a login", 401, `{"token_endpoint":"https://h.example/"}`, transport.NotThere, "401"},
		{"missing", 404, ``, transport.NotThere, "404"},
		{"down", 503, ``, transport.Unavailable, "503"},
		{"html", 200, `<html>`, transport.NotThere, "not JSON"},
		{"none in it", 200, `{"authorization_endpoint":"https://h.example/"}`, transport.NotThere, "no token_endpoint"},
		{"relative", 200, `{"token_endpoint":"/token"}`, transport.NotThere, "no token_endpoint"},
		{"without a host", 200, `{"token_endpoint":"https:///token"}`, transport.NotThere, "no token_endpoint"},
		{"another protocol", 200, `{"token_endpoint":"ftp://h.example/token"}`, transport.NotThere, "no token_endpoint"},
		{"unreadable", 200, `{"token_endpoint":"https://[::1/S3CR3T"}`, transport.NotThere, "no token_endpoint"},
		{"longer than anybody's", 200, strings.Repeat(" ", 1<<20) + `{"token_endpoint":"https://h.example/token"}`, transport.Unavailable, "too long"},
		{"with a password", 200, `{"token_endpoint":"https://a:S3CR3T@h.example/token"}`, transport.NotThere, "no token_endpoint"},
		{"of another type", 200, `{"token_endpoint":7}`, transport.NotThere, "no token_endpoint"},
		{"redirect", 307, ``, transport.NotThere, "307"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/r4/.well-known/smart-configuration" || r.Header.Get("Authorization") != "" || r.ContentLength != 0 {
					t.Errorf("got %s %s", r.Method, r.RequestURI)
				}
				w.Header().Set("Location", tokens.TokenURL())
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			})
			grant := grantAt(t, "")
			grant.Discover = base + "/r4/"
			c, err := grant.Fetch(t.Context())
			if test.kind < 0 {
				if err != nil || authorization(c) == "" {
					t.Errorf("got %q, %v", authorization(c), err)
				}
				return
			}
			wantError(t, err, test.kind, "looking up the token endpoint at "+base, test.said)
		})
	}
	t.Run("not needed", func(t *testing.T) {
		t.Parallel()
		grant := grantAt(t, tokens.TokenURL())
		grant.Discover = "https://192.0.2.1"
		if _, err := grant.Fetch(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		for base, kind := range map[string]transport.Kind{"http://127.0.0.1:1": transport.Unavailable, "https://[::1": transport.NotThere} {
			_, err := auth.ClientCredentials{Discover: base, HTTP: newClient(t), Retry: quick}.Fetch(t.Context())
			wantError(t, err, kind, "looking up the token endpoint")
		}
	})
	t.Run("in the clear", func(t *testing.T) {
		t.Parallel()
		base := serve(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"token_endpoint":"http://192.0.2.1/token"}`)
		})
		_, err := auth.ClientCredentials{Discover: base, ClientSecret: secret, HTTP: newClient(t), Retry: quick}.Fetch(t.Context())
		wantError(t, err, transport.NotThere, "http:// is refused")
	})
}

// A document fetched over TLS must not send the secret elsewhere in the clear.
func TestDiscoverKeepsToTLS(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return answer(r, 200, "application/json", `{"token_endpoint":"http://h.example/token"}`), nil
	})}
	_, err := auth.Discover(t.Context(), "https://h.example/r4", client, quick)
	wantError(t, err, transport.NotThere, "unencrypted token_endpoint")
	if got, err := auth.Discover(t.Context(), "http://h.example/r4", client, quick); err != nil || got != "http://h.example/token" {
		t.Errorf("got %q, %v", got, err)
	}
	client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		return answer(r, 200, "application/json", `{"token_endpoint":"https://h.example/token"}`), nil
	})
	if got, err := auth.Discover(t.Context(), "https://h.example/r4", client, quick); err != nil || got != "https://h.example/token" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Whoever can change the document must not get the secret with the next token request.
func TestDiscoveredEndpointStays(t *testing.T) {
	t.Parallel()
	first, elsewhere := newServer(t, bulktest.Options{}), newServer(t, bulktest.Options{})
	var named atomic.Pointer[bulktest.Server]
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"token_endpoint":%q}`, named.Load().TokenURL())
	})
	fetch := func(pin *auth.Pin, log *slog.Logger, at *bulktest.Server) error {
		named.Store(at)
		grant := grantAt(t, "")
		grant.Discover, grant.Pin, grant.Log = base, pin, log
		_, err := grant.Fetch(t.Context())
		return err
	}
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	pin := new(auth.Pin)
	for _, err := range []error{fetch(pin, log, first), fetch(pin, log, first)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if lines := logged.String(); strings.Count(lines, "\n") != 1 || !strings.Contains(lines, "level=INFO") || !strings.Contains(lines, "origin="+first.URL()) {
		t.Errorf("got the log %q", lines)
	}
	err := fetch(pin, log, elsewhere)
	if e := wantError(t, err, transport.NotThere, "looking up the token endpoint", first.URL(), elsewhere.URL(), base); !strings.Contains(e.Hint, "token_origins") {
		t.Errorf("got the hint %q", e.Hint)
	}
	if n := len(elsewhere.Requests()); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
	if err := fetch(pin, log, first); err != nil {
		t.Errorf("where it was found first: %v", err)
	}
	pin = &auth.Pin{Origins: []string{elsewhere.URL()}}
	for _, err := range []error{fetch(pin, nil, first), fetch(pin, nil, elsewhere), fetch(nil, nil, first), fetch(nil, nil, elsewhere)} {
		if err != nil {
			t.Error(err)
		}
	}
}
