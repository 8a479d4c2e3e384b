package transport_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/transport"
)

// A server that falls silent within an answer ends that answer, whoever reads it; the
// connection is not used again, and the next request is served.
func TestASilentBodyEnds(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*http.Client) *http.Client{
		"plain":    func(c *http.Client) *http.Client { return c },
		"retrying": func(c *http.Client) *http.Client { return transport.Retrying(c, quick) },
	} {
		for _, fresh := range []bool{false, true} {
			for _, sent := range []string{"", "half of an answer"} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					server := serve(t, func(w http.ResponseWriter, r *http.Request) {
						io.WriteString(w, sent)
						http.NewResponseController(w).Flush()
						if r.URL.Path == "/silent" {
							<-r.Context().Done() // the client gives up
						}
					})
					client := edit(newClient(t, transport.Options{StallTimeout: 30 * time.Millisecond}))
					req := newRequest(t, t.Context(), http.MethodGet, server.URL+"/silent", "")
					req.Close = fresh
					resp, err := client.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := transport.ReadBody(resp, 100); err == nil || !strings.Contains(err.Error(), "no byte came for 30ms") {
						t.Errorf("got %v", err)
					}
					resp, err = client.Do(newRequest(t, t.Context(), http.MethodGet, server.URL, ""))
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
				})
			}
		}
	}
}

// A server that sends a byte now and then for ever keeps nobody for ever.
func TestASlowBodyEnds(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow at the end" {
			io.WriteString(w, strings.Repeat("x", 70<<10))
		}
		for r.Context().Err() == nil {
			io.WriteString(w, "x")
			http.NewResponseController(w).Flush()
			<-time.After(time.Millisecond)
		}
	})
	get := func(t *testing.T, path string, pace time.Duration) io.ReadCloser {
		resp, err := newClient(t, transport.Options{PaceTimeout: pace}).Do(newRequest(t, t.Context(), http.MethodGet, server.URL+path, ""))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp.Body
	}
	for _, path := range []string{"/slow", "/slow%20at%20the%20end"} {
		t.Run("of the server "+path, func(t *testing.T) {
			t.Parallel()
			if _, err := io.Copy(io.Discard, get(t, path, 30*time.Millisecond)); !errors.Is(err, transport.ErrTooSlow) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Who reads slowly what came quickly is not taken for a slow server: only the time that the
// wire takes counts, for the pace and for silence.
func TestASlowReaderMayBeSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body := transport.Watched(io.NopCloser(strings.NewReader(strings.Repeat("x", 100))), time.Second, time.Minute)
		n := 0
		for b := make([]byte, 1); ; n++ {
			_, err := body.Read(b)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // the bubble's
		}
		if n != 100 {
			t.Errorf("%d bytes came", n)
		}
	})
}
