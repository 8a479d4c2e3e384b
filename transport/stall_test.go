package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
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
