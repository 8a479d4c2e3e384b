package transport_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/transport"
)

// credentials are headers that servers are known to accept as credentials, in spellings that
// callers may use: HTTP ignores their case, a Go map does not.
func credentials() http.Header {
	return http.Header{
		"Authorization":   {"Bearer SECRET"},
		"Cookie":          {"session=SECRET"},
		"Client_id":       {"SECRET"},
		"client_secret":   {"SECRET"},
		"X-Oneup-User-Id": {"SECRET"},
		"x-app-user-id":   {"SECRET"},
	}
}

func canonical(h http.Header) http.Header {
	c := http.Header{}
	for name, values := range h {
		c[http.CanonicalHeaderKey(name)] = values
	}
	return c
}

func TestRedirectToAnotherOriginCarriesNoCredential(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			var seen visits
			other := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen.add(r) })
			first := serve(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.URL+"/file?sig=1", status)
			})
			req := newRequest(t, t.Context(), http.MethodGet, first.URL+"/?SECRET", "")
			req.Header = credentials()
			req.Header.Set("Accept", "application/fhir+ndjson")
			req.Header.Set("Accept-Encoding", "gzip")
			resp, err := newClient(t, transport.Options{}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if seen.count() != 1 {
				t.Fatalf("the other server got %d requests", seen.count())
			}
			want := http.Header{"Accept": {"application/fhir+ndjson"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"fhirkiln"}}
			if diff := cmp.Diff(want, seen.header[0]); diff != "" {
				t.Errorf("the other server got other headers (-want +got):\n%s", diff)
			}
		})
	}
}

// The second hop stays at the other origin: what the first hop dropped must not come back.
func TestRedirectsThereafterCarryNoCredential(t *testing.T) {
	t.Parallel()
	var seen visits
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if seen.add(r) == 1 {
			http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
		}
	})
	first := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	req := newRequest(t, t.Context(), http.MethodGet, first.URL, "")
	req.Header = credentials()
	resp, err := transport.Retrying(newClient(t, transport.Options{}), quick).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for i, h := range seen.header {
		if got := slices.Sorted(maps.Keys(h)); !slices.Equal(got, []string{"Accept-Encoding", "User-Agent"}) && !slices.Equal(got, []string{"User-Agent"}) {
			t.Errorf("request %d had the headers %v", i+1, got)
		}
	}
	if seen.count() != 2 {
		t.Errorf("the other server got %d requests, want 2", seen.count())
	}
}

func TestRedirectWithinTheOriginKeepsCredentials(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		var seen visits
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if seen.add(r) == 1 {
				http.Redirect(w, r, "/there", http.StatusFound)
			}
		})
		req := newRequest(t, t.Context(), method, server.URL, "")
		req.Header, req.Body = credentials(), http.NoBody
		resp, err := newClient(t, transport.Options{}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if seen.count() != 2 {
			t.Fatalf("%s: got %d requests, want 2", method, seen.count())
		}
		for name, values := range canonical(credentials()) {
			if got := seen.header[1][name]; !slices.Equal(got, values) {
				t.Errorf("%s: %s after the redirect: %q", method, name, got)
			}
		}
	}
}

func TestRefusedRedirects(t *testing.T) {
	t.Parallel()
	to := func(location string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(status)
		}
	}
	for _, test := range []struct {
		name, method, body string
		tls                bool
		handler            http.HandlerFunc
		requests           int
	}{
		{"POST, 307", "POST", "client_secret=SECRET", false, to("/next?sig=SECRET", 307), 1},
		{"POST, 308", "POST", "client_secret=SECRET", false, to("/next?sig=SECRET", 308), 1},
		{"POST, 302, which others turn into a GET", "POST", "client_secret=SECRET", false, to("/next?sig=SECRET", 302), 1},
		{"POST without a body", "POST", "", false, to("/next?sig=SECRET", 307), 1},
		{"DELETE", "DELETE", "", false, to("/next?sig=SECRET", 307), 1},
		{"GET with a body", "GET", "client_secret=SECRET", false, to("/next?sig=SECRET", 307), 1},
		{"https to http", "GET", "", true, to("http://127.0.0.1:1/next?sig=SECRET", 307), 1},
		{"endless", "GET", "", false, to("/next?sig=SECRET", 307), 10},
		{"unreadable address", "GET", "", false, to("http://[::1/?sig=SECRET", 307), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var seen visits
			handler := func(w http.ResponseWriter, r *http.Request) {
				seen.add(r)
				test.handler(w, r)
			}
			client := newClient(t, transport.Options{})
			server := serve(t, handler)
			if test.tls {
				server = httptest.NewTLSServer(http.HandlerFunc(handler))
				t.Cleanup(server.Close)
				client.Transport = server.Client().Transport // trusts the server; the redirect policy stays
			}
			ctx := t.Context()
			resp, err := transport.Retrying(client, quick).Do(newRequest(t, ctx, test.method, server.URL+"/?sig=SECRET", test.body))
			if err == nil {
				resp.Body.Close()
				t.Fatalf("the redirect was followed, to an answer of %d", resp.StatusCode)
			}
			if seen.count() != test.requests {
				t.Errorf("the server got %d requests, want %d", seen.count(), test.requests)
			}
			e := asError(t, transport.NoAnswer(ctx, "asking", server.URL+"/?sig=SECRET", err))
			if e.Kind != transport.NotThere || e.Hint == "" {
				t.Errorf("got kind %d, hint %q: to run again will not help", e.Kind, e.Hint)
			}
			if strings.Contains(e.Error()+e.Hint, "SECRET") {
				t.Errorf("the error tells a secret: %v", e)
			}
		})
	}
}

// An unreadable Location is an error only in a redirect, whose connection is then released;
// otherwise it is left to whoever reads the response.
func TestUnreadableLocation(t *testing.T) {
	t.Parallel()
	leaves := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://[::1/?sig=SECRET")
		if r.URL.Path == "/accepted" {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.WriteHeader(http.StatusFound)
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done(): // the client gives up
			close(leaves)
		case <-t.Context().Done():
		}
	})
	client := newClient(t, transport.Options{})
	if resp, err := get(t, client, server.URL+"/accepted"); err != nil || resp.StatusCode != http.StatusAccepted {
		t.Errorf("got %v, %v", resp, err)
	}
	if _, err := client.Transport.RoundTrip(newRequest(t, t.Context(), http.MethodGet, server.URL, "")); !errors.Is(err, transport.ErrRedirect) { //nolint:bodyclose // there is none
		t.Errorf("got %v, want ErrRedirect", err)
	}
	select {
	case <-leaves:
	case <-time.After(10 * time.Second):
		t.Error("the connection is kept")
	}
}

func TestRedirectIntoTheClear(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
	})
	if _, err := get(t, transport.Retrying(newClient(t, transport.Options{}), quick), server.URL); !errors.Is(err, transport.ErrPlainHTTP) {
		t.Errorf("got %v, want ErrPlainHTTP", err)
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"https://h.example/a", "https://h.example/b?c", true},
		{"https://h.example", "https://h.example:443/", true},
		{"http://h.example", "http://h.example:80/", true},
		{"https://h.example", "https://H.Example/", true},
		{"HTTPS://h.example", "https://h.example/", true},
		{"https://[::1]:443/", "https://[::1]/", true},
		{"https://me@h.example", "https://h.example/", true},
		{"https://h.example", "http://h.example/", false},
		{"https://h.example", "http://h.example:443/", false},
		{"https://h.example", "https://h.example:8443/", false},
		{"https://h.example", "https://h.example.evil/", false},
		{"https://h.example", "https://sub.h.example/", false},
		{"https://h.example", "https://h.example@evil/", false},
	} {
		a, err1 := url.Parse(test.a)
		b, err2 := url.Parse(test.b)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if got := transport.Origin(a) == transport.Origin(b); got != test.same {
			t.Errorf("%s and %s have one origin: %v", test.a, test.b, got)
		}
	}
}
