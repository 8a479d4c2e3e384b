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
	"crypto/tls"
	"crypto/x509"
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

	// Header is sent with each request to an origin of HeaderOrigins, "scheme://host[:port]"
	// or any URL there, but where the request has a header of that name: what a gateway wants
	// of whoever passes, and nobody else is to see.
	Header        map[string]string
	HeaderOrigins []string

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
	g := &guard{anybody: newLines(wire, o.OnceTimeout), header: o.Header, headerTo: originsOf(o.HeaderOrigins),
		userAgent: o.UserAgent, allowHTTP: o.AllowHTTP, silence: o.StallTimeout, pace: o.PaceTimeout}
	if o.Certificate != nil {
		named := wire.Clone()
		named.TLSClientConfig.GetClientCertificate = o.Certificate.get
		g.named, g.namedTo = newLines(named, o.OnceTimeout), originsOf(o.CertificateOrigins)
	}
	return &http.Client{Transport: g, CheckRedirect: checkRedirect}
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

// originsOf are the origins of URLs.
func originsOf(urls []string) map[string]bool {
	origins := map[string]bool{}
	for _, raw := range urls {
		if u, err := url.Parse(raw); err == nil {
			origins[Origin(u)] = true
		}
	}
	return origins
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

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
