package bulktest

import (
	"net"
	"net/http"
	"net/url"
)

// The second origin is the same server at another port: what storage is to a FHIR
// server. It takes no token for files, as S3 does it, and wants one for all else.

// atStorage says whether a request came to the second origin.
func (s *Server) atStorage(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && s.storage != "" && portOf(addr.String()) == s.storagePort()
}

// toStorage is a link to this server as a link to its second origin, by the host name
// that the client uses.
func (s *Server) toStorage(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	u.Host = net.JoinHostPort(u.Hostname(), s.storagePort())
	return u.String()
}

// fileBase is what links to files begin with: those of a manifest that was asked for at
// the second origin lead to the first one.
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
