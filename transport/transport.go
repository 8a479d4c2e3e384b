// Package transport makes the HTTP clients that auth and bulk talk through, and
// holds what both must agree on: where a request may go, what a redirect may carry
// along, how long a server may make us wait, what of a URL may be printed, and how
// a failed exchange is told to the user.
//
// The common path is one client for each source, with retries where a request may
// safely be sent again:
//
//	plain := transport.New(transport.Options{})
//	retrying := transport.Retrying(plain, transport.Retry{})
//
// No client has an overall timeout: an output file may take hours. Connecting, waiting
// for the answer's header, and a body's silence and pace are bounded instead.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options say how to reach a source. The zero value is right for most servers.
type Options struct {
	// UserAgent names the program to the server. Default "fhirkiln".
	UserAgent string

	// AllowHTTP lets requests go to http:// URLs of other machines. Without it only
	// loopback may be spoken to in the clear (Bulk Data IG, "Security": TLS 1.2 or
	// later for every exchange).
	AllowHTTP bool

	// Proxy gets the requests, https ones by CONNECT: an http, https or socks5 URL, with
	// user and password if it wants them. Nil is what HTTPS_PROXY, HTTP_PROXY and
	// NO_PROXY say.
	Proxy *url.URL

	// Certificate says who this machine is where a server of CertificateOrigins asks for
	// a client certificate (mTLS). Nil has none.
	Certificate *Certificate

	// CertificateOrigins are the origins, "scheme://host[:port]" or any URL there, that
	// Certificate is for: it names this client to whoever is shown it, so that storage
	// hosts and what a redirect leads to are not. Empty shows it to nobody.
	CertificateOrigins []string

	// Authorities sign servers' certificates. Nil is this machine's own list; see
	// [LoadAuthorities] for one with more.
	Authorities *x509.CertPool

	// ConnectTimeout bounds one dial, name look-up included, and the TLS handshake.
	// Default 15 s: longer than any healthy network, shorter than a user's patience.
	ConnectTimeout time.Duration

	// HeaderTimeout bounds the wait for an answer's header. Default 2 min: slow
	// gateways are known to prepare a whole file before the first byte.
	HeaderTimeout time.Duration

	// OnceTimeout takes the place of HeaderTimeout for requests with Close set, see [New]:
	// what must not be sent again is waited for. Default 15 min: servers are known to make
	// a whole export before they answer its kick-off.
	OnceTimeout time.Duration

	// StallTimeout is how long an answer's body may bring no byte before it is given
	// up. Default 2 min, for the gateways that HeaderTimeout is for.
	StallTimeout time.Duration

	// PaceTimeout is how long 64 KiB of an answer's body may take, or what is left of it,
	// not counting the time between reads. Default 5 min, which is 220 bytes a second.
	PaceTimeout time.Duration
}

// New returns a client that follows redirects but never carries a credential to
// another origin, and refuses http:// off loopback. It does not retry. A request with
// Close set gets a connection of its own: on one that was used before, net/http itself
// sends a GET again when the connection is lost, and a GET may start an export.
func New(o Options) *http.Client {
	if o.UserAgent == "" {
		o.UserAgent = "fhirkiln"
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 15 * time.Second
	}
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = 2 * time.Minute
	}
	if o.OnceTimeout <= 0 {
		o.OnceTimeout = 15 * time.Minute
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = 2 * time.Minute
	}
	if o.PaceTimeout <= 0 {
		o.PaceTimeout = 5 * time.Minute
	}
	dialer := &net.Dialer{Timeout: o.ConnectTimeout, KeepAlive: 30 * time.Second}
	wire := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   o.ConnectTimeout,
		ResponseHeaderTimeout: o.HeaderTimeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   16, // a worker pool's worth; the default of 2 would redial for most files
		// A list of status URLs takes some KiB; net/http's own 10 MiB are for nobody.
		MaxResponseHeaderBytes: 256 << 10,
		// The reader of a file wants to see the bytes on the wire, to check gzip's CRC itself.
		DisableCompression: true,
	}
	if o.Proxy != nil {
		wire.Proxy = http.ProxyURL(o.Proxy)
	}
	wire.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Authorities}
	g := &guard{anybody: newLines(wire, o.OnceTimeout), userAgent: o.UserAgent, allowHTTP: o.AllowHTTP, silence: o.StallTimeout, pace: o.PaceTimeout}
	if o.Certificate != nil {
		named := wire.Clone()
		named.TLSClientConfig.GetClientCertificate = o.Certificate.get
		g.named, g.namedTo = newLines(named, o.OnceTimeout), map[string]bool{}
		for _, raw := range o.CertificateOrigins {
			if u, err := url.Parse(raw); err == nil {
				g.namedTo[Origin(u)] = true
			}
		}
	}
	return &http.Client{Transport: g, CheckRedirect: checkRedirect}
}

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
	resp.Body = &watchedBody{body: resp.Body, cancel: cancel, silence: g.silence, pace: g.pace}
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

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
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

// Origin is a URL's scheme, host and port (RFC 6454), the port always spelt out: what a
// credential is bound to. Hosts that are not plain ASCII, which no request is sent to, are
// those of no other origin.
func Origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(printable(u.Hostname())), port)
}

// printable is a host's name as it is if it is plain ASCII, else percent-encoded. Unicode has
// letters that Go lowers to an ASCII one, though DNS has them as another domain, and others
// that a terminal obeys.
func printable(host string) string {
	if isPlain(host) {
		return host
	}
	return url.PathEscape(host)
}

func isPlain(host string) bool {
	return !strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' })
}
