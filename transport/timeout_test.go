package transport_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/transport"
)

// The default options bound the wait for anything that a server fails to do.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, url, answer string
		once              bool
		drip              time.Duration // between the further bytes of the response; 0 means that none come
		ended             time.Duration
	}{
		{"a handshake", "https://127.0.0.1/", "", false, 0, 15 * time.Second},
		{"an answer", "http://127.0.0.1/", "", false, 0, 2 * time.Minute},
		{"an answer that comes once", "http://127.0.0.1/", "", true, 0, 15 * time.Minute},
		{"a body", "http://127.0.0.1/", "HTTP/1.1 200 OK\r\n\r\n", false, 0, 2 * time.Minute},
		{"a body that drips", "http://127.0.0.1/", "HTTP/1.1 200 OK\r\n\r\n", false, time.Minute, 6 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := transport.New(transport.Options{})
				transport.DialBy(client, func(context.Context, string, string) (net.Conn, error) {
					here, there := net.Pipe()
					go func() {
						if test.answer != "" { // not sent before the request, else it would not be a response to it
							if _, err := http.ReadRequest(bufio.NewReader(there)); err != nil {
								return
							}
						}
						go io.Copy(io.Discard, there)
						io.WriteString(there, test.answer)
						for test.drip > 0 {
							time.Sleep(test.drip) // in fake time
							if _, err := io.WriteString(there, "x"); err != nil {
								return
							}
						}
					}()
					return here, nil
				})
				req := newRequest(t, t.Context(), http.MethodGet, test.url, "")
				req.Close = test.once
				start := time.Now()
				resp, err := client.Do(req)
				if err == nil {
					_, err = transport.ReadBody(resp, 1000)
				}
				if took := time.Since(start); err == nil || took != test.ended {
					t.Errorf("got %v after %v, want an end after %v", err, took, test.ended)
				}
				client.CloseIdleConnections()
				time.Sleep(test.drip) // the server notices
			})
		})
	}
}
