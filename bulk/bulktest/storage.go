package bulktest

import (
	"net"
	"net/http"
	"net/url"
)

// The second origin is the same server at another port. It plays the role of a FHIR server's
// storage: it refuses tokens for files, like S3, and requires them for everything else.

// atStorage reports whether a request came to the second origin.
func (s *Server) atStorage(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && s.storage != "" && portOf(addr.String()) == s.storagePort()
}

// toStorage changes a link to this server to its second origin. It keeps the host name, which is
// the one that the client uses.
func (s *Server) toStorage(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	u.Host = net.JoinHostPort(u.Hostname(), s.storagePort())
	return u.String()
}

// fileBase returns the start of links to files. They lead to the first origin, even if the
// manifest was requested at the second.
func (s *Server) fileBase(r *http.Request) string {
	home, err := url.Parse(s.url)
	if err != nil || !s.atStorage(r) {
		return linkBase(r)
	}
	name, _, _ := net.SplitHostPort(r.Host)
	return "http://" + net.JoinHostPort(name, home.Port())
}

func (s *Server) storagePort() string {
	u, err := url.Parse(s.storage)
	if err != nil {
		return ""
	}
	return u.Port()
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
