package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// transports are a pair of transports with the same TLS configuration.
type transports struct {
	pooled *http.Transport
	fresh  *http.Transport // never reuses a connection
}

func newTransports(t *http.Transport, once time.Duration) transports {
	fresh := t.Clone()
	fresh.DisableKeepAlives, fresh.ResponseHeaderTimeout = true, once
	return transports{t, fresh}
}

// guard is the last check before the wire. It also sees every hop of a redirect.
type guard struct {
	plain         transports
	withCert      transports      // with the client certificate
	certOrigins   map[string]bool // the origins that withCert is for
	header        map[string]string
	headerOrigins map[string]bool // the origins that header is for
	userAgent     string
	allowHTTP     bool
	silence, pace time.Duration
}

// ErrPlainHTTP means that a request was not sent because it would have gone to another
// machine without TLS.
var ErrPlainHTTP = errors.New("http:// is refused except to this machine")

// ErrHost means that a request was not sent because its host is not in the ASCII form that
// DNS uses.
var ErrHost = errors.New("the host name is not ASCII; in the form that DNS uses, it begins with xn--")

// RoundTrip implements [http.RoundTripper].
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" && !g.allowHTTP && !isLoopback(req.URL.Hostname()) {
		return nil, ErrPlainHTTP
	}
	if !isPlain(req.URL.Hostname()) {
		return nil, ErrHost
	}
	ctx, cancel := context.WithCancel(req.Context())
	req = req.Clone(ctx) // a RoundTripper must not modify its request
	if g.headerOrigins[Origin(req.URL)] {
		for name, value := range g.header {
			if req.Header.Get(name) == "" {
				req.Header.Set(name, value)
			}
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", g.userAgent)
	}
	to := g.plain
	if g.certOrigins[Origin(req.URL)] {
		to = g.withCert
	}
	next := to.pooled
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
		return nil, fmt.Errorf("%w: its URL is unreadable", ErrRedirect) // http.Client would print it, signature and all
	}
	return resp, nil
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach the wire.
func (g *guard) CloseIdleConnections() {
	for _, to := range []transports{g.plain, g.withCert} {
		if to.pooled != nil {
			to.pooled.CloseIdleConnections()
			to.fresh.CloseIdleConnections()
		}
	}
}

// harmless are the headers that may follow a redirect to another origin. It is an allowlist
// because a blocklist would miss the next server's own credential header (1upHealth takes
// client_id and client_secret as headers).
var harmless = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "User-Agent": true, "Range": true, "If-Range": true,
}

// ErrRedirect means that the response was a redirect that must not be followed.
var ErrRedirect = errors.New("refused to follow the server's redirect")

// checkRedirect lets a GET or HEAD follow up to 9 hops, without credentials at any origin
// but the first. A request with a body follows none: the body may be the form of a token
// request.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) >= 10 {
		return fmt.Errorf("%w: it is the tenth in a row", ErrRedirect)
	}
	if (first.Method != http.MethodGet && first.Method != http.MethodHead) || first.Body != nil && first.Body != http.NoBody {
		return fmt.Errorf("%w to %s: only a GET without a body is redirected", ErrRedirect, Redact(req.URL.String()))
	}
	if first.URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w from https to %s, in the clear", ErrRedirect, Redact(req.URL.String()))
	}
	if Origin(first.URL) != Origin(req.URL) {
		for name := range req.Header {
			if !harmless[name] {
				delete(req.Header, name) // Del would miss a name that is not canonical
			}
		}
	}
	req.Close = first.Close
	return nil
}
