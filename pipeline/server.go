package pipeline

import (
	"net/url"
	"strings"
)

// serverOf returns what identifies the server of a feed's source, as [ledger.Feed] has it. The
// case of scheme and host, a default port and slashes at the end make no difference.
func serverOf(f Feed) string {
	u, err := url.Parse(f.Base)
	if err != nil || u.Host == "" {
		return ""
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return host + " " + filterHash(scheme+"://"+host+strings.TrimRight(u.EscapedPath(), "/"))
}

// otherServer reports whether two servers are known to differ.
func otherServer(a, b string) bool { return a != "" && b != "" && a != b }
