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

// Source is a server to export from, and how to be let in.
type Source struct {
	// Name is the source's key in the file.
	Name string `yaml:"-"`

	// Base URL of the FHIR server, without $export, which is appended.
	FHIR string `yaml:"fhir" jsonschema:"required" want:"a base URL such as https://fhir.example.org/r4"`
	// How fhirkiln gets its access token.
	Auth Auth `yaml:"auth" jsonschema:"required" want:"a mapping with at least type"`
	// Further origins that credentials are for, besides that of fhir: servers hand out status URLs and files at another name of theirs.
	TokenOrigins []string `yaml:"token_origins" jsonschema:"pattern=^https?://[^/?#@ ]+$" want:"origins such as https://files.example.org"`
	// Origins of storage that output files lie at. Files there are fetched without credentials. Where some are given, files that need no token may lie nowhere else but there and where the credentials go.
	FileHosts []string `yaml:"file_hosts" jsonschema:"pattern=^https?://[^/?#@ ]+$" want:"origins such as https://bucket.s3.amazonaws.com"`
	// Certificates, where the server wants one of yours or has one of its own authority.
	TLS TLS `yaml:"tls"`
	// Proxy for all requests to this source, such as http://proxy.example.org:3128, with user:password@ if it wants them. Left out: what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.
	Proxy Secret `yaml:"proxy" jsonschema:"pattern=^(http|https|socks5)://"`
	// The operation that exports. $davinci-data-export is Da Vinci's for groups of members (ATR and PDex), and tells by its exportType what the data is for.
	Operation Operation `yaml:"operation" jsonschema:"enum=$export,enum=$davinci-data-export,default=$export"`
	// HTTP method of the kick-off. Every server takes GET; some take POST, which keeps long parameters out of the URL.
	Method string `yaml:"method" jsonschema:"enum=GET,enum=POST,default=GET"`
	// Asks the server to pass over parameters that it does not support (Prefer: handling=lenient), each of which is then a warning. With false, a server that does not know a filter should refuse the export instead of ignoring it.
	Lenient bool `yaml:"lenient" jsonschema:"default=false"`
	// Asks for polls that are answered with 200 even when the export has failed (Prefer: separate-export-status, IG 3.0.0), for gateways that take a failed export for a server in trouble.
	SeparateStatus bool `yaml:"separate_status" jsonschema:"default=false"`
	// How _since is written: an instant, as the standard says, or a date, as 1upHealth documents it. As a date it is the UTC day before, so that no time zone loses hours.
	SinceFormat string `yaml:"since_format" jsonschema:"enum=instant,enum=date,default=instant"`
	// How several types and elements are written: as one comma list, which some servers read alone, or as a repeated parameter, which IG 4.0.0 will want.
	ListFormat string `yaml:"list_format" jsonschema:"enum=comma,enum=repeat,default=comma"`
	// Further parameters of every kick-off at this source. A name may stand several times.
	Parameters []Parameter `yaml:"parameters" want:"mappings with name and value"`
	// Further headers, of the kick-off or of all requests, such as a gateway's API key.
	Headers []Header `yaml:"headers" want:"mappings with name and value"`
	// Feeds that may have exports at this source at once, each one export after the other, until its run has ended and they are deleted there. Most servers allow a client only one export.
	Exports int `yaml:"exports" jsonschema:"minimum=1,maximum=64,default=1"`
	// Whether the server may forget an export once its data is published. auto tells it so unless published rows hold attachments that lie at the server, which may go with the export.
	DeleteExport DeleteExport `yaml:"delete_export" jsonschema:"enum=auto,enum=always,enum=never,default=auto"`
	// How often the status URL is asked, and for how long.
	Poll Poll `yaml:"poll"`
	// Output files fetched from this server at once. More helps with many small files, until the server answers 429.
	Downloads int `yaml:"downloads" jsonschema:"minimum=1,maximum=64,default=4"`
	// Allows http:// for servers other than this machine. Tokens and patient data then travel unencrypted.
	AllowHTTP bool `yaml:"allow_http" jsonschema:"default=false"`
}

// TLS names files in PEM. In a checked [Config] their paths are resolved.
type TLS struct {
	// File of the certificate that says who you are (mTLS), with those between it and its authority. It is read again when it changes. It is shown to the origins of fhir, token_url, code_url and token_origins and to no other; with discover, write the token endpoint's origin into token_origins.
	ClientCert string `yaml:"client_cert"`
	// File of the certificate's private key.
	ClientKey string `yaml:"client_key"`
	// File of certificates of authorities to trust besides this machine's own list.
	CA string `yaml:"ca"`
}

// Poll bounds how the status URL is asked.
type Poll struct {
	// Shortest pause between two requests, also when the server's Retry-After says less. Without a Retry-After pauses grow from here.
	Min time.Duration `yaml:"min" jsonschema:"default=1s"`
	// Longest pause between two requests, also when the server's Retry-After says more.
	Max time.Duration `yaml:"max" jsonschema:"default=5m"`
	// How long a run waits for an export. The next run goes on waiting for the same; after seven times as long since its kick-off it is given up. Exports of years of claims take hours.
	Deadline time.Duration `yaml:"deadline" jsonschema:"default=24h"`
}

func (d *decoder) checkSource(path string, s *Source) {
	s.FHIR = d.checkBase(join(path, "fhir"), s.FHIR, s.AllowHTTP)
	for _, operation := range []Operation{OperationExport, OperationDaVinci} {
		if strings.Contains(s.FHIR, string(operation)) {
			d.problemAt(join(path, "fhir"), "has %s in it; want the base URL, to which %s is appended", operation, operation)
		}
	}
	d.checkAuth(join(path, "auth"), &s.Auth, s.AllowHTTP)
	if s.Auth.OneUpUserID == oneUpAll && s.Auth.Type == AuthOneUpHeaders && s.Method == "POST" {
		d.problemAt(join(path, "method"), "1upHealth takes nothing but GET with oneup_user_id client; want GET")
	}
	for key, origins := range map[string][]string{"token_origins": s.TokenOrigins, "file_hosts": s.FileHosts} {
		for i, origin := range origins {
			d.checkBase(fmt.Sprintf("%s[%d]", join(path, key), i), origin, s.AllowHTTP)
		}
	}
	d.checkParameters(join(path, "parameters"), s.Parameters)
	d.checkHeaders(join(path, "headers"), s.Headers)
	d.checkTLS(join(path, "tls"), &s.TLS)
	d.checkProxy(d.secretPath(path, "proxy"), s.Proxy)
	poll := join(path, "poll")
	if s.Poll.Min > s.Poll.Max && !d.failed[join(poll, "max")] {
		d.problemAt(join(poll, "min"), "is longer than max; want at most that (5m where max is left out)")
	}
}

func (d *decoder) checkTLS(path string, t *TLS) {
	for _, pair := range [][2]string{{"client_cert", "client_key"}, {"client_key", "client_cert"}} {
		if d.given(join(path, pair[0])) && !d.given(join(path, pair[1])) {
			d.problemAt(join(path, pair[1]), "missing; want it where %s is given", pair[0])
		}
	}
	t.ClientCert, t.ClientKey, t.CA = d.resolved(t.ClientCert), d.resolved(t.ClientKey), d.resolved(t.CA)
	d.checkExposed(join(path, "client_key"), t.ClientKey)
}

// resolved makes a path start at the folder of the config file.
func (d *decoder) resolved(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}

// checkProxy quotes nothing of the URL, which may hold a password.
func (d *decoder) checkProxy(path string, proxy Secret) {
	if proxy == "" || d.failed[path] {
		return
	}
	u, err := url.Parse(proxy.Reveal())
	known := err == nil && slices.Contains([]string{"http", "https", "socks5"}, u.Scheme)
	if !known || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		d.problemAt(path, "not the URL of a proxy; want http://, https:// or socks5://host:port")
	}
}

// secretPath is the path of a key, or of its twin with _file when that stands in
// the file instead.
func (d *decoder) secretPath(path, key string) string {
	if file := join(path, key+"_file"); d.given(file) {
		return file
	}
	return join(path, key)
}

// checkBase checks a URL to which paths are appended, and returns it without a slash at its
// end.
func (d *decoder) checkBase(path, text string, allowHTTP bool) string {
	if !d.checkURL(path, text, allowHTTP) {
		return text
	}
	if strings.Contains(text, "?") {
		d.problemAt(path, "has a ?; want the base URL alone")
		return text
	}
	return strings.TrimRight(text, "/")
}

// checkURL checks an absolute http or https URL. Messages do not quote it, since it may hold
// a password.
func (d *decoder) checkURL(path, text string, allowHTTP bool) (ok bool) {
	if text == "" || d.failed[path] {
		return false
	}
	u, err := url.Parse(text)
	fault := ""
	switch {
	case err != nil || strings.ContainsAny(text, " \t\r\n\\"):
		fault = "not a URL; want https://host/path"
	case u.Scheme != "https" && u.Scheme != "http":
		fault = "does not begin with https://; want https://host/path"
	case u.Hostname() == "":
		fault = "has no host; want https://host/path"
	case strings.ContainsFunc(u.Hostname(), func(r rune) bool { return r > unicode.MaxASCII }):
		fault = "has other letters than ASCII in its host; want it as DNS has it, beginning with xn--"
	case u.User != nil:
		fault = "has a user name or password in it; want them in auth, or nowhere"
	case u.Fragment != "" || strings.Contains(text, "#"):
		fault = "has a #; want a URL without one"
	case u.Scheme == "http" && !allowHTTP && !isLoopback(u.Hostname()):
		fault = "is not encrypted; want https://, or allow_http: true (a key of sources and of s3)"
	}
	if fault != "" {
		d.problemAt(path, "%s", fault)
	}
	return fault == ""
}

// isLoopback reports whether a host is this machine, so that nothing leaves it.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
