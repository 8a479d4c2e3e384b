package bulk_test

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/transport"
)

// A server that falls silent within a response does not hold anybody up forever.
func TestSilenceEndsEveryStep(t *testing.T) {
	t.Parallel()
	silent := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, `{"resourceType":`)
			http.NewResponseController(w).Flush()
			<-r.Context().Done() // the client gives up
		}
	}
	impatient := func(o *bulk.Options) {
		o.HTTP = transport.New(transport.Options{StallTimeout: 30 * time.Millisecond})
		o.Poll.Outage = time.Nanosecond
	}
	for name, step := range map[string]func(c *bulk.Client, url string) error{
		"kick-off": func(c *bulk.Client, _ string) error {
			_, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
			return err
		},
		"status": func(c *bulk.Client, url string) error {
			_, err := c.Wait(t.Context(), bulk.Job{StatusURL: url}, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := script(t, silent(http.StatusOK))
			wantError(t, step(clientAt(t, server.URL, impatient), server.URL), transport.Unavailable, "no data received for 30ms")
		})
		t.Run(name+" refused", func(t *testing.T) {
			t.Parallel()
			server, _ := script(t, silent(http.StatusBadRequest))
			wantError(t, step(clientAt(t, server.URL, impatient), server.URL), transport.Refused, "400 Bad Request")
		})
	}
}

// A server that ends its response in order when it sees the client leave has not sent the whole
// file: over TLS, the client sometimes reads that end.
func TestSilentFileOverTLSIsNotWhole(t *testing.T) {
	t.Parallel()
	line, rest := content[:strings.Index(content, "\n")+1], content[strings.Index(content, "\n")+1:]
	var requests atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, line)
		http.NewResponseController(w).Flush()
		if requests.Add(1)%2 == 1 {
			<-r.Context().Done()
			return
		}
		io.WriteString(w, rest)
	}))
	t.Cleanup(server.Close)
	way := transport.Options{StallTimeout: 20 * time.Millisecond, Authorities: x509.NewCertPool()}
	way.Authorities.AddCert(server.Certificate())
	c := clientAt(t, server.URL, func(o *bulk.Options) {
		o.HTTP = transport.New(way)
		t.Cleanup(o.HTTP.CloseIdleConnections)
	})
	for range 20 {
		if got, _, err := readURL(t, c, server.URL); err != nil || got != content {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}
