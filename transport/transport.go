// Package transport makes the HTTP clients that auth and bulk use, and holds what both
// must agree on: where a request may go, what a redirect may carry along, how long a
// server may make us wait, which parts of a URL may be printed, and how a failed exchange
// is reported to the user.
//
// Typical use creates one client per source, and adds retries where a request may safely
// be sent again:
//
//	plain := transport.New(transport.Options{})
//	retrying := transport.Retrying(plain, transport.Retry{})
//
// No client has an overall timeout, because an output file may take hours. Instead there are
// bounds on connecting, on waiting for the response header, and on the silence and pace of a
// body.
package transport

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options configures how to reach a source. The zero value is right for most servers.
type Options struct {
	// UserAgent names the program to the server. Default "fhirkiln".
	UserAgent string

	// AllowHTTP allows requests to http:// URLs of other machines. Without it, only
	// loopback may be reached without TLS (Bulk Data IG, "Security": TLS 1.2 or later for
	// every exchange).
	AllowHTTP bool

	// Proxy is the proxy for all requests, https ones by CONNECT: an http, https or socks5
	// URL, with user and password if it needs them. If nil, HTTPS_PROXY, HTTP_PROXY and
	// NO_PROXY apply.
	Proxy *url.URL

	// Certificate is the client certificate for servers of CertificateOrigins that ask for
	// one (mTLS). Nil means none.
	Certificate *Certificate

	// CertificateOrigins are the origins, "scheme://host[:port]" or any URL there, that may
	// see Certificate. It identifies this client, so storage hosts and the targets of
	// redirects do not get it. If empty, nobody does.
	CertificateOrigins []string

	// Header is added to each request to one of HeaderOrigins ("scheme://host[:port]" or any
	// URL there), except where the request already has a header of that name. It is for what
	// a gateway requires of every client, and nobody else may see.
	Header        map[string]string
	HeaderOrigins []string

	// Authorities are the root CAs for servers' certificates. Nil means this machine's own
	// list; [LoadAuthorities] adds to it.
	Authorities *x509.CertPool

	// ConnectTimeout bounds one dial, including name resolution, and the TLS handshake.
	// Default 15 s: longer than any healthy network needs, shorter than a user's patience.
	ConnectTimeout time.Duration

	// HeaderTimeout bounds the wait for a response header. Default 2 min: slow gateways are
	// known to prepare a whole file before the first byte.
	HeaderTimeout time.Duration

	// OnceTimeout replaces HeaderTimeout for requests with Close set (see [New]), which must
	// not be sent again and so deserve a longer wait. Default 15 min: servers are known to
	// make a whole export before they answer its kick-off.
	OnceTimeout time.Duration

	// StallTimeout is how long a response body may bring no byte before it is given up.
	// Default 2 min, for the same gateways as HeaderTimeout.
	StallTimeout time.Duration

	// PaceTimeout is how long 64 KiB of a response body, or its last bytes, may take, not
	// counting the time between reads. Default 5 min, which is 220 bytes a second.
	PaceTimeout time.Duration
}

// New returns a client that follows redirects but never carries a credential to
// another origin, and refuses http:// except to loopback. It does not retry. A request with
// Close set gets a connection of its own: if a reused connection is lost, net/http itself
// sends a GET again, and a GET may start an export.
func New(o Options) *http.Client {
	o.UserAgent = cmp.Or(o.UserAgent, "fhirkiln")
	o.ConnectTimeout = cmp.Or(max(o.ConnectTimeout, 0), 15*time.Second)
	o.HeaderTimeout = cmp.Or(max(o.HeaderTimeout, 0), 2*time.Minute)
	o.OnceTimeout = cmp.Or(max(o.OnceTimeout, 0), 15*time.Minute)
	o.StallTimeout = cmp.Or(max(o.StallTimeout, 0), 2*time.Minute)
	o.PaceTimeout = cmp.Or(max(o.PaceTimeout, 0), 5*time.Minute)
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
		// A list of status URLs takes a few KiB; nobody needs net/http's default of 10 MiB.
		MaxResponseHeaderBytes: 256 << 10,
		// Readers of files need the bytes on the wire, to check gzip's CRC themselves.
		DisableCompression: true,
	}
	if o.Proxy != nil {
		wire.Proxy = http.ProxyURL(o.Proxy)
	}
	wire.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Authorities}
	g := &guard{plain: newTransports(wire, o.OnceTimeout), header: o.Header, headerOrigins: originsOf(o.HeaderOrigins),
		userAgent: o.UserAgent, allowHTTP: o.AllowHTTP, silence: o.StallTimeout, pace: o.PaceTimeout}
	if o.Certificate != nil {
		withCert := wire.Clone()
		withCert.TLSClientConfig.GetClientCertificate = o.Certificate.get
		g.withCert, g.certOrigins = newTransports(withCert, o.OnceTimeout), originsOf(o.CertificateOrigins)
	}
	return &http.Client{Transport: g, CheckRedirect: checkRedirect}
}

// Origin returns a URL's scheme, host and port (RFC 6454), with the port always spelled out.
// Credentials are bound to an origin. A host that is not plain ASCII, to which no request is
// sent, has an origin distinct from all others.
func Origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(printable(u.Hostname())), port)
}

// originsOf returns the origins of URLs.
func originsOf(urls []string) map[string]bool {
	origins := map[string]bool{}
	for _, raw := range urls {
		if u, err := url.Parse(raw); err == nil {
			origins[Origin(u)] = true
		}
	}
	return origins
}

// printable returns a host name unchanged if it is plain ASCII, otherwise percent-encoded.
// Unicode has letters that Go lowercases to ASCII although they are a different domain in DNS,
// and characters that terminals act on.
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
