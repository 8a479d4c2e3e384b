package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Source is a server to export from, and how to get access to it.
type Source struct {
	// Name is the source's key in the file.
	Name string `yaml:"-"`
	// Problems are what keeps this source, but no other, from being used: variables that are
	// not set, values with variables that are wrong, secret files that cannot be read, and
	// credentials that cannot be sent. If there is such a problem or an empty variable, all
	// other problems of the source are here too. Nil if there is nothing.
	Problems Errors `yaml:"-"`

	// Base URL of the FHIR server, without $export, which fhirkiln appends.
	FHIR string `yaml:"fhir" jsonschema:"required" want:"a base URL such as https://fhir.example.org/r4"`
	// How fhirkiln gets its access token.
	Auth Auth `yaml:"auth" jsonschema:"required" want:"a mapping with at least type"`
	// Origins that credentials are for, in addition to that of fhir. Needed if the server has status URLs or files under another name of its own.
	TokenOrigins []string `yaml:"token_origins" jsonschema:"pattern=^https?://[^/?#@ ]+$" want:"origins such as https://files.example.org"`
	// Origins of storage that holds output files. Files there are fetched without credentials. If given, files that need no token are fetched only from there and from where credentials go.
	FileHosts []string `yaml:"file_hosts" jsonschema:"pattern=^https?://[^/?#@ ]+$" want:"origins such as https://bucket.s3.amazonaws.com"`
	// Certificates, if the server requires one of yours, or its own is from a private authority.
	TLS TLS `yaml:"tls"`
	// Proxy for all requests to this source, such as http://proxy.example.org:3128, with user:password@ if the proxy requires it. Default: from HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
	Proxy Secret `yaml:"proxy" jsonschema:"pattern=^(http|https|socks5)://"`
	// The export operation. $davinci-data-export is Da Vinci's for groups of members (ATR and PDex); its exportType says what the data is for.
	Operation Operation `yaml:"operation" jsonschema:"enum=$export,enum=$davinci-data-export,default=$export"`
	// HTTP method of the kick-off. Every server accepts GET. Some accept POST, which keeps long parameters out of the URL.
	Method string `yaml:"method" jsonschema:"enum=GET,enum=POST,default=GET"`
	// Asks the server to ignore parameters that it does not support (Prefer: handling=lenient) and to warn of each. With false, a server that does not support a filter should refuse the export instead of ignoring the filter.
	Lenient bool `yaml:"lenient" jsonschema:"default=false"`
	// Asks the server to answer polls with 200 even if the export has failed (Prefer: separate-export-status, IG 3.0.0), for gateways that mistake a failed export for a failing server.
	SeparateStatus bool `yaml:"separate_status" jsonschema:"default=false"`
	// How _since is written: instant, as in the standard, or date, as 1upHealth documents it. A date is the previous UTC day, so that no hours are lost in any time zone.
	SinceFormat string `yaml:"since_format" jsonschema:"enum=instant,enum=date,default=instant"`
	// How several types or elements are written: comma for one comma-separated list, the only form that some servers read, or repeat for a repeated parameter, which IG 4.0.0 will require.
	ListFormat string `yaml:"list_format" jsonschema:"enum=comma,enum=repeat,default=comma"`
	// Further parameters of every kick-off at this source. The same name may appear several times.
	Parameters []Parameter `yaml:"parameters" want:"mappings with name and value"`
	// Further headers, of the kick-off or of all requests, such as a gateway's API key.
	Headers []Header `yaml:"headers" want:"mappings with name and value"`
	// How many feeds may have exports at this source at once. Each feed runs one export after the other and counts until its run has ended and its exports are deleted. Most servers allow a client only one export.
	Exports int `yaml:"exports" jsonschema:"minimum=1,maximum=64,default=1"`
	// Whether to delete an export at the server once its data is published. auto keeps the export if published rows refer to attachments at the server, which may be deleted with it.
	DeleteExport DeleteExport `yaml:"delete_export" jsonschema:"enum=auto,enum=always,enum=never,default=auto"`
	// How often to ask the status URL, and for how long.
	Poll Poll `yaml:"poll"`
	// How many output files to fetch from this server at once. More helps with many small files, until the server answers 429.
	Downloads int `yaml:"downloads" jsonschema:"minimum=1,maximum=64,default=4"`
	// Allows http:// for servers other than this machine. Tokens and patient data then travel unencrypted.
	AllowHTTP bool `yaml:"allow_http" jsonschema:"default=false"`
}

// TLS names PEM files. In a checked [Config] their paths are resolved.
type TLS struct {
	// File with your client certificate (mTLS) and any intermediate certificates. It is read again when it changes. It is shown only to the origins of fhir, token_url, code_url and token_origins; with discover, add the token endpoint's origin to token_origins.
	ClientCert string `yaml:"client_cert"`
	// File with the certificate's private key.
	ClientKey string `yaml:"client_key"`
	// File with certificates of authorities to trust in addition to this machine's own.
	CA string `yaml:"ca"`
}

// Poll says how often, and for how long, to ask the status URL.
type Poll struct {
	// Minimum pause between two requests, even if the server's Retry-After is shorter. Without Retry-After, pauses grow from here.
	Min time.Duration `yaml:"min" jsonschema:"default=1s"`
	// Maximum pause between two requests, even if the server's Retry-After is longer.
	Max time.Duration `yaml:"max" jsonschema:"default=5m"`
	// How long a run waits for an export. The next run goes on waiting for the same export, which is given up seven deadlines after its kick-off. Exports of years of claims take hours.
	Deadline time.Duration `yaml:"deadline" jsonschema:"default=24h"`
}

func (d *decoder) checkSource(path string, s *Source) {
	allowHTTP := s.AllowHTTP || d.failed[join(path, "allow_http")]
	s.FHIR = d.checkBase(join(path, "fhir"), s.FHIR, allowHTTP)
	for _, operation := range []Operation{OperationExport, OperationDaVinci} {
		if strings.Contains(s.FHIR, string(operation)) {
			d.valueProblemAt(join(path, "fhir"), "contains %s; expected the base URL, to which %s is appended", operation, operation)
		}
	}
	d.checkAuth(join(path, "auth"), &s.Auth, allowHTTP)
	if s.Auth.OneUpUserID == oneUpAll && s.Auth.Type == AuthOneUpHeaders && s.Method == "POST" {
		d.valueProblemAt(join(path, "method"), "1upHealth accepts only GET with oneup_user_id client; use GET")
	}
	for key, origins := range map[string][]string{"token_origins": s.TokenOrigins, "file_hosts": s.FileHosts} {
		for i, origin := range origins {
			d.checkBase(fmt.Sprintf("%s[%d]", join(path, key), i), origin, allowHTTP)
		}
	}
	d.checkParameters(join(path, "parameters"), s.Parameters)
	d.checkHeaders(join(path, "headers"), s.Headers)
	d.checkTLS(join(path, "tls"), &s.TLS)
	d.checkProxy(d.secretPath(path, "proxy"), s.Proxy)
	poll := join(path, "poll")
	if s.Poll.Min > s.Poll.Max && !d.failed[join(poll, "max")] {
		d.outside[join(poll, "min")] = d.outside[join(poll, "min")] || d.outside[join(poll, "max")]
		d.valueProblemAt(join(poll, "min"), "is longer than max (5m if left out); lower min, or raise max")
	}
}

func (d *decoder) checkTLS(path string, t *TLS) {
	d.checkTogether(path, "client_cert", t.ClientCert, "client_key", t.ClientKey)
	d.checkTogether(path, "client_key", t.ClientKey, "client_cert", t.ClientCert)
	t.ClientCert, t.ClientKey, t.CA = d.resolved(t.ClientCert), d.resolved(t.ClientKey), d.resolved(t.CA)
	d.checkExposed(join(path, "client_key"), t.ClientKey)
}

// checkTogether checks that a key which requires another does not come alone.
func (d *decoder) checkTogether(path, key, text, other, otherText string) {
	switch otherPath := join(path, other); {
	case text == "" || otherText != "" || d.failed[otherPath]:
	case d.given(otherPath):
		d.valueProblemAt(otherPath, "is empty; %s requires it", key)
	default:
		d.problemAt(otherPath, "missing; %s requires it", key)
	}
}

// resolved makes a relative path start at the folder of the config file.
func (d *decoder) resolved(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}

// checkProxy checks the URL of a proxy. Messages do not quote it, since it may hold a password.
func (d *decoder) checkProxy(path string, proxy Secret) {
	if proxy == "" || d.failed[path] {
		return
	}
	u, err := url.Parse(proxy.Reveal())
	known := err == nil && slices.Contains([]string{"http", "https", "socks5"}, u.Scheme)
	if !known || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		d.valueProblemAt(path, "not a proxy URL; expected http://, https:// or socks5://host:port")
	}
}

// secretPath returns the path of a key, or of its _file twin if the config file has that.
func (d *decoder) secretPath(path, key string) string {
	if file := join(path, key+"_file"); d.given(file) {
		return file
	}
	return join(path, key)
}

// checkBase checks a URL that paths are appended to, and returns it without a slash at its end.
func (d *decoder) checkBase(path, text string, allowHTTP bool) string {
	if !d.checkURL(path, text, allowHTTP) {
		return text
	}
	if strings.Contains(text, "?") {
		d.valueProblemAt(path, "has a ?; expected only the base URL")
		return text
	}
	return strings.TrimRight(text, "/")
}

// checkURL checks an absolute http or https URL. Messages do not quote it, since it may hold a
// password.
func (d *decoder) checkURL(path, text string, allowHTTP bool) (ok bool) {
	if text == "" || d.failed[path] {
		return false
	}
	u, err := url.Parse(text)
	fault := ""
	switch {
	case err != nil || strings.ContainsAny(text, " \t\r\n\\"):
		fault = "not a URL; expected https://host/path"
	case u.Scheme != "https" && u.Scheme != "http":
		fault = "does not begin with https://; expected https://host/path"
	case u.Hostname() == "":
		fault = "has no host; expected https://host/path"
	case strings.ContainsFunc(u.Hostname(), func(r rune) bool { return r > unicode.MaxASCII }):
		fault = "has non-ASCII letters in its host; write the host as in DNS, beginning with xn--"
	case u.User != nil:
		fault = "contains a user name or password, which fhirkiln does not send; expected a URL without them (credentials have keys of their own)"
	case u.Fragment != "" || strings.Contains(text, "#"):
		fault = "has a #; expected a URL without one"
	case u.Scheme == "http" && !allowHTTP && !isLoopback(u.Hostname()):
		fault = "is not encrypted; use https://, or set allow_http: true (a key of sources and of s3)"
	}
	if fault != "" {
		d.valueProblemAt(path, "%s", fault)
	}
	return fault == ""
}

// isLoopback reports whether a host is this machine, so that requests do not leave it.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
