package transport_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"fhirkiln/transport"
)

// If what answers is not an HTTP server, or one that lost its place in a body, net/http quotes
// it, and the quote may be patient data.
func TestWireErrorsQuoteNobody(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no HTTP":         "Mary-Smith 1950-05-07\r\n\r\n",
		"status":          "HTTP/1.1 Mary-Smith\r\n\r\n",
		"header":          "HTTP/1.1 200 OK\r\nMary-Smith 1950-05-07\r\n\r\n",
		"length":          "HTTP/1.1 200 OK\r\nContent-Length: Mary-Smith\r\n\r\n",
		"coding":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: Mary-Smith\r\n\r\n",
		"chunk":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nMary-Smith\r\n",
		"after a chunk":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nMary-Smith 1950-05-07\r\n\r\n",
		"redirect":        "HTTP/1.1 302 Found\r\nLocation: http://[Mary-Smith\r\n\r\n",
		"redirect nearby": "HTTP/1.1 302 Found\r\nLocation: Mary-Smith:1950%zz\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serveRaw(t, answer)
			client := newClient(t, transport.Options{})
			resp, err := client.Do(newRequest(t, t.Context(), "GET", url, ""))
			if err == nil {
				_, err = transport.ReadBody(resp, 1000)
			}
			if err == nil {
				t.Fatal("that was an answer")
			}
			e := asError(t, transport.NoAnswer(t.Context(), "asking", url, err))
			if text := e.Error() + e.Hint; strings.Contains(text, "Mary") || strings.Contains(text, "1950") {
				t.Errorf("got %s", text)
			}
			if e.Err.Error() == "…" {
				t.Error("nothing is left of the error")
			}
		})
	}
}

// serveRaw answers each connection's first request with raw bytes, and hangs up.
func serveRaw(t *testing.T, answer string) (url string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 4096))
			io.WriteString(c, answer)
			c.Close()
		}
	}()
	return fmt.Sprintf("http://%s", l.Addr())
}
