package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/transport"
)

// If a server falls silent within a body, reading it fails, whoever the reader is; the
// connection is not reused, and the next request is served.
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
					if _, err := transport.ReadBody(resp, 100); err == nil || !strings.Contains(err.Error(), "no data received for 30ms") {
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

// The same over HTTP/2, where many responses share a connection.
func TestASilentBodyEndsOverHTTP2(t *testing.T) {
	t.Parallel()
	server, caFile := serveTLS(t, func(c *tls.Config) { c.NextProtos = []string{"h2"} }, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half of an answer")
		http.NewResponseController(w).Flush()
		if r.URL.Path == "/silent" {
			<-r.Context().Done()
		}
	})
	client := newClient(t, transport.Options{Authorities: authorities(t, caFile), StallTimeout: 30 * time.Millisecond})
	resp, err := client.Do(newRequest(t, t.Context(), http.MethodGet, server.URL+"/silent", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transport.ReadBody(resp, 100); resp.ProtoMajor != 2 || err == nil || !strings.Contains(err.Error(), "no data received for 30ms") {
		t.Errorf("got %s, %v", resp.Proto, err)
	}
	if _, err := get(t, client, server.URL); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// A server that keeps sending a byte now and then does not hold a reader up forever.
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

// A slow reader of a fast server does not count as a slow server: pace and silence count only
// the time spent in reads.
func TestASlowReaderMayBeSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body, request := transport.Watched(t.Context(), strings.NewReader(strings.Repeat("x", 100)), time.Second, time.Minute)
		n := 0
		for b := make([]byte, 1); ; n++ {
			_, err := body.Read(b)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // in fake time
		}
		if n != 100 || request.Err() != nil {
			t.Errorf("%d bytes came, and then %v", n, request.Err())
		}
	})
}

// goodbye is the body of a server that ends its response when it sees the client leave.
type goodbye struct{ request context.Context }

// Read implements [io.Reader].
func (g *goodbye) Read([]byte) (int, error) {
	<-g.request.Done()
	return 0, io.EOF
}

// A response that ends because its reader gave up is incomplete, though it may look complete.
func TestEOFAfterGivingUpIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var server goodbye
		body, request := transport.Watched(t.Context(), &server, time.Second, time.Minute)
		server.request = request
		if _, err := io.ReadAll(body); err == nil || err.Error() != "no data received for 1s" {
			t.Errorf("of a silent server: %v", err)
		}

		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(why) })
		body, server.request = transport.Watched(ctx, &server, time.Second, time.Minute)
		if _, err := io.ReadAll(body); err != why {
			t.Errorf("got %v, want the cause", err)
		}
	})
}

// The same with a real server: TLS tells it before the connection is closed.
func TestASilentBodyOverTLSIsNotWhole(t *testing.T) {
	t.Parallel()
	server, caFile := serveTLS(t, nil, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half of an answer")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	client := newClient(t, transport.Options{Authorities: authorities(t, caFile), StallTimeout: 3 * time.Millisecond})
	for range 30 { // it used to fail about every fourth time
		resp, err := client.Do(newRequest(t, t.Context(), http.MethodGet, server.URL, ""))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := transport.ReadBody(resp, 100); err == nil {
			t.Fatalf("half was taken for the whole: %s", body)
		}
	}
}

// dripping returns a few bytes per read, each after a pause, and then its end after a pause.
type dripping struct {
	bytes, times int
	after        time.Duration
	end          error
}

// Read implements [io.Reader].
func (d *dripping) Read(p []byte) (int, error) {
	time.Sleep(d.after) // in fake time
	if d.times--; d.times < 0 {
		return 0, d.end
	}
	return min(d.bytes, len(p)), nil
}

// A long body may take hours, as long as each 64 KiB of it arrive in time. A late EOF is still
// an EOF, and any other error is returned unchanged.
func TestALongBodyMayTakeHours(t *testing.T) {
	t.Parallel()
	cut := &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	for _, test := range []struct {
		name  string
		body  dripping
		ended error
	}{
		{"64 KiB at a time", dripping{64 << 10, 50, 61 * time.Second, io.EOF}, nil},
		{"in small pieces", dripping{1 << 10, 500, 900 * time.Millisecond, io.EOF}, nil},
		{"too few, too late", dripping{64<<10 - 1, 50, 61 * time.Second, io.EOF}, transport.ErrTooSlow},
		{"a late end", dripping{64 << 10, 2, 59 * time.Minute, io.EOF}, nil},
		{"cut", dripping{64 << 10, 2, 61 * time.Second, cut}, cut},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				want := int64(test.body.bytes) * int64(test.body.times)
				body, request := transport.Watched(t.Context(), &test.body, time.Hour, time.Minute)
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, 64<<10))
				if !errors.Is(err, test.ended) || err == nil && n != want {
					t.Errorf("got %d bytes of %d, %v", n, want, err)
				}
				if body.Close(); request.Err() == nil {
					t.Error("to close the body did not end the request")
				}
			})
		})
	}
}
