package transport_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirkiln/transport"
)

// A canceled context stops a request that the guard lets pass before it is dialed, so
// nothing here leaves the machine.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		url     string
		allow   bool
		refused bool
	}{
		{"http://192.0.2.1/?SECRET", false, true},
		{"http://192.0.2.1/?SECRET", true, false},
		{"http://h.example/", false, true},
		{"http://localhost.h.example/", false, true},
		{"http://127.0.0.1.h.example/", false, true},
		{"http://[2001:db8::1]/", false, true},
		{"HTTP://192.0.2.1/", false, true},
		{"https://192.0.2.1/", false, false},
		{"http://127.0.0.1:1/", false, false},
		{"http://127.9.9.9:1/", false, false},
		{"http://localhost:1/", false, false},
		{"http://LocalHost:1/", false, false},
		{"http://[::1]:1/", false, false},
	} {
		t.Run(test.url, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			ctx, connections := counting(ctx)
			resp, err := newClient(t, transport.Options{AllowHTTP: test.allow}).Do(newRequest(t, ctx, http.MethodGet, test.url, ""))
			if err == nil {
				resp.Body.Close()
				t.Fatal("there was an answer")
			}
			if errors.Is(err, transport.ErrPlainHTTP) != test.refused {
				t.Errorf("got %v", err)
			}
			if test.refused && connections.Load() != 0 {
				t.Error("a connection was asked for")
			}
		})
	}
}

func TestPlainHTTPIsTold(t *testing.T) {
	t.Parallel()
	ctx, connections := counting(t.Context())
	resp, err := transport.Retrying(newClient(t, transport.Options{}), quick).Do(newRequest(t, ctx, http.MethodGet, "http://192.0.2.1/?SECRET", ""))
	if err == nil {
		resp.Body.Close()
		t.Fatal("there was an answer")
	}
	e := asError(t, transport.NoAnswer(ctx, "asking", "http://192.0.2.1/?SECRET", err))
	if e.Kind != transport.NotThere || !strings.Contains(e.Hint, "https://") || strings.Contains(e.Error(), "SECRET") {
		t.Errorf("got kind %d, %q, hint %q", e.Kind, e, e.Hint)
	}
	if connections.Load() != 0 {
		t.Error("a connection was asked for")
	}
}

func TestUserAgent(t *testing.T) {
	t.Parallel()
	var seen visits
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen.add(r) })
	for _, test := range []struct{ option, request, want string }{
		{"", "", "fhirkiln"},
		{"fhirkiln/1.2", "", "fhirkiln/1.2"},
		{"fhirkiln/1.2", "mine", "mine"},
	} {
		req := newRequest(t, t.Context(), http.MethodGet, server.URL, "")
		if test.request != "" {
			req.Header.Set("User-Agent", test.request)
		}
		before := len(req.Header)
		resp, err := newClient(t, transport.Options{UserAgent: test.option}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := seen.header[seen.count()-1].Get("User-Agent"); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
		if len(req.Header) != before {
			t.Error("the caller's request was changed")
		}
	}
}

// Readers of files check gzip themselves, so they must get the bytes as sent.
func TestNoHiddenDecompression(t *testing.T) {
	t.Parallel()
	var seen visits
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen.add(r) })
	if _, err := get(t, newClient(t, transport.Options{}), server.URL); err != nil {
		t.Fatal(err)
	}
	if got := seen.header[0].Get("Accept-Encoding"); got != "" {
		t.Errorf("net/http asked for %q by itself", got)
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		const url = "http://127.0.0.1:1/?SECRET"
		_, err := get(t, transport.Retrying(newClient(t, transport.Options{}), quick), url)
		e := asError(t, transport.NoAnswer(t.Context(), "asking", url, err))
		if e.Kind != transport.Unavailable || e.Hint == "" || strings.Contains(e.Error(), "SECRET") || !strings.HasPrefix(e.Error(), "asking at http://127.0.0.1:1/?…: dial tcp 127.0.0.1:1: ") {
			t.Errorf("got kind %d, %q, hint %q", e.Kind, e, e.Hint)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		t.Parallel()
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		if err := transport.NoAnswer(ctx, "asking", "https://h.example/", context.Canceled); err != why {
			t.Errorf("got %v, want the cause", err)
		}
	})
}

// net/http considers a GET safe to send again when a reused connection is lost. A request with
// Close set is not.
func TestRequestWithCloseIsSentOnce(t *testing.T) {
	t.Parallel()
	for _, redirected := range []bool{false, true} {
		var lost visits
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/lost":
				lost.add(r)
				panic(http.ErrAbortHandler)
			case "/redirect":
				http.Redirect(w, r, "/lost", http.StatusTemporaryRedirect)
			}
		})
		client := newClient(t, transport.Options{})
		if _, err := get(t, client, server.URL+"/warm"); err != nil { // leaves an idle connection
			t.Fatal(err)
		}
		path := "/lost"
		if redirected {
			path = "/redirect"
		}
		req := newRequest(t, t.Context(), http.MethodGet, server.URL+path, "")
		req.Close = true
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
			t.Error("there was an answer")
		}
		if lost.count() != 1 {
			t.Errorf("redirected %v: the request was sent %d times", redirected, lost.count())
		}
	}
}

// Go lowercases "İ" to "i", but in DNS it is another domain: a look-alike is not an origin that
// a credential is for, and nothing is sent there.
func TestHostsThatAreNotASCII(t *testing.T) {
	t.Parallel()
	ours := parseURL(t, "https://fhir.clinic.example/r4")
	for _, other := range []string{"https://fhir.clİnic.example/r4", "https://fhir.cl%c4%b0nic.example/r4", "https://fhir.clinic.example\u009b/r4"} {
		u := parseURL(t, other)
		if transport.Origin(u) == transport.Origin(ours) {
			t.Errorf("%q is of the same origin", other)
		}
		resp, err := newClient(t, transport.Options{}).Do(newRequest(t, t.Context(), http.MethodGet, other, ""))
		if err == nil {
			resp.Body.Close()
		}
		if !errors.Is(err, transport.ErrHost) {
			t.Errorf("%q: error %v", other, err)
		}
		said := asError(t, transport.NoAnswer(t.Context(), "asking", other, err))
		if said.Kind != transport.NotThere || !strings.Contains(said.Hint, "do not trust it") || strings.ContainsFunc(said.Error(), func(r rune) bool { return r > '~' && r != '…' }) {
			t.Errorf("got kind %d, %q, hint %q: to run again will not help", said.Kind, said, said.Hint)
		}
	}
}

func parseURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// net/http buffers a whole header, so its size must be bounded.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	for kib, fits := range map[int]bool{200: true, 300: false} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Location", strings.Repeat("x", kib<<10))
		})
		if _, err := get(t, newClient(t, transport.Options{}), server.URL); (err == nil) != fits {
			t.Errorf("%d KiB: %v", kib, err)
		}
	}
}

// A request that must not be sent again gets a longer timeout.
func TestRequestWithCloseIsWaitedFor(t *testing.T) {
	t.Parallel()
	came, answer := make(chan struct{}), make(chan struct{})
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/once" {
			close(came)
			<-answer
			return
		}
		<-r.Context().Done()
	})
	client := newClient(t, transport.Options{HeaderTimeout: 20 * time.Millisecond})
	once := make(chan error)
	go func() {
		req := newRequest(t, t.Context(), http.MethodGet, server.URL+"/once", "")
		req.Close = true
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		once <- err
	}()
	<-came
	if _, err := get(t, client, server.URL); err == nil || !strings.Contains(err.Error(), "timeout awaiting response headers") {
		t.Errorf("a request that may be sent again: %v", err)
	}
	close(answer)
	if err := <-once; err != nil {
		t.Errorf("a request that may not: %v", err)
	}
	client = newClient(t, transport.Options{OnceTimeout: 20 * time.Millisecond})
	req := newRequest(t, t.Context(), http.MethodGet, server.URL, "")
	req.Close = true
	if resp, err := client.Do(req); err == nil {
		resp.Body.Close()
		t.Error("it was waited for without end")
	}
}
