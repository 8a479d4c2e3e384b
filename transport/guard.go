package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// lines are two ways to the same servers with one TLS configuration.
type lines struct {
	kept  *http.Transport
	fresh *http.Transport // never uses a connection twice
}

func newLines(t *http.Transport, once time.Duration) lines {
	fresh := t.Clone()
	fresh.DisableKeepAlives, fresh.ResponseHeaderTimeout = true, once
	return lines{t, fresh}
}

// guard is the last gate before the wire. It sees every hop of a redirect too.
type guard struct {
	anybody       lines
	named         lines           // with the client certificate
	namedTo       map[string]bool // the origins that it is for
	header        map[string]string
	headerTo      map[string]bool // the origins that it is for
	userAgent     string
	allowHTTP     bool
	silence, pace time.Duration
}

// ErrPlainHTTP says that a request was not sent because it would have gone to
// another machine in the clear.
var ErrPlainHTTP = errors.New("http:// is refused for other machines than this one")

// ErrHost says that a request was not sent because its host is not written as DNS has it.
var ErrHost = errors.New("the host's name has other letters than ASCII; as DNS has it, it begins with xn--")

// RoundTrip implements [http.RoundTripper].
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" && !g.allowHTTP && !isLoopback(req.URL.Hostname()) {
		return nil, ErrPlainHTTP
	}
	if !isPlain(req.URL.Hostname()) {
		return nil, ErrHost
	}
	ctx, cancel := context.WithCancel(req.Context())
	req = req.Clone(ctx) // a RoundTripper must not change what it was given
	if g.headerTo[Origin(req.URL)] {
		for name, value := range g.header {
			if req.Header.Get(name) == "" {
				req.Header.Set(name, value)
			}
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", g.userAgent)
	}
	to := g.anybody
	if g.namedTo[Origin(req.URL)] {
		to = g.named
	}
	next := to.kept
	if req.Close {
		next = to.fresh
	}
	resp, err := next.RoundTrip(req)
	if err != nil {
		cancel()
		return nil, wireError(err)
	}
	resp.Body = &watchedBody{body: resp.Body, ctx: ctx, cancel: cancel, silence: g.silence, pace: g.pace}
	if _, err := resp.Location(); err != nil && !errors.Is(err, http.ErrNoLocation) && resp.StatusCode/100 == 3 {
		resp.Body.Close()
		return nil, fmt.Errorf("%w: its address is unreadable", ErrRedirect) // http.Client would print it, signature and all
	}
	return resp, nil
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach the wire.
func (g *guard) CloseIdleConnections() {
	for _, to := range []lines{g.anybody, g.named} {
		if to.kept != nil {
			to.kept.CloseIdleConnections()
			to.fresh.CloseIdleConnections()
		}
	}
}

// harmless are the headers that may follow a redirect to another origin. A list of
// what may go, since a list of what may not would miss the next server's own
// credential header (1upHealth takes client_id and client_secret as headers).
var harmless = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "User-Agent": true, "Range": true, "If-Range": true,
}

// ErrRedirect says that an answer was a redirect of a kind that is not followed.
var ErrRedirect = errors.New("refused to follow the server's redirect")

// checkRedirect lets a GET or HEAD follow up to 9 hops, without credentials once it
// leaves the origin that it was sent to. Anything with a body stays: the body may be
// a token request's form.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) >= 10 {
		return fmt.Errorf("%w: it is the tenth in a row", ErrRedirect)
	}
	if (first.Method != http.MethodGet && first.Method != http.MethodHead) || first.Body != nil && first.Body != http.NoBody {
		return fmt.Errorf("%w to %s: only a plain GET may go there", ErrRedirect, Redact(req.URL.String()))
	}
	if first.URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w from https to %s, in the clear", ErrRedirect, Redact(req.URL.String()))
	}
	if Origin(first.URL) != Origin(req.URL) {
		for name := range req.Header {
			if !harmless[name] {
				delete(req.Header, name) // Del would miss a name that is not in Go's spelling
			}
		}
	}
	req.Close = first.Close
	return nil
}
