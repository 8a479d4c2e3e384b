package config

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Source is a server to export from, and how to be let in.
type Source struct {
	// Name is the source's key in the file.
	Name string `yaml:"-"`

	// Base URL of the FHIR server, without $export, which is appended.
	FHIR string `yaml:"fhir" jsonschema:"required" want:"a base URL such as https://fhir.example.org/r4"`
	// How fhirkiln gets its access token.
	Auth Auth `yaml:"auth" jsonschema:"required" want:"a mapping with at least type"`
	// HTTP method of the kick-off. Every server takes GET; some take POST, which keeps long parameters out of the URL.
	Method string `yaml:"method" jsonschema:"enum=GET,enum=POST,default=GET"`
	// How often the status URL is asked, and for how long.
	Poll Poll `yaml:"poll"`
	// Output files fetched from this server at once. More helps with many small files, until the server answers 429.
	Downloads int `yaml:"downloads" jsonschema:"minimum=1,maximum=64,default=4"`
	// Allows http:// for servers other than this machine. Tokens and patient data then travel unencrypted.
	AllowHTTP bool `yaml:"allow_http" jsonschema:"default=false"`
}

// AuthType says how access tokens are got.
type AuthType string

const (
	// AuthClientCredentials gets tokens from a token endpoint with a client id
	// and secret (RFC 6749, 4.4).
	AuthClientCredentials AuthType = "client_credentials"
	// AuthBearer sends one token that the user has got by other means.
	AuthBearer AuthType = "bearer"
	// AuthNone sends no credentials.
	AuthNone AuthType = "none"
)

// Auth is how to get access tokens. Which fields are filled depends on Type.
type Auth struct {
	// client_credentials asks the token endpoint for tokens, bearer sends a token of yours, none sends nothing.
	Type AuthType `yaml:"type" jsonschema:"required,enum=client_credentials,enum=bearer,enum=none"`

	// URL of the token endpoint.
	TokenURL string `yaml:"token_url" want:"a URL such as https://auth.example.org/token"`
	// HTTP method of the token request. POST is the standard (RFC 6749, 3.2); GET sends the same form as the body of a GET, as 1upHealth's page prints it.
	TokenMethod string `yaml:"token_method" jsonschema:"enum=GET,enum=POST,default=POST"`
	// The client id that the server's owner gave you.
	ClientID string `yaml:"client_id"`
	// The client secret that the server's owner gave you.
	ClientSecret Secret `yaml:"client_secret"`
	// Scopes to ask for, as the server's owner writes them, blanks between them. Left out: none is sent.
	Scope string `yaml:"scope"`

	// The access token to send.
	Token Secret `yaml:"token"`
}

// Poll bounds how the status URL is asked.
type Poll struct {
	// Shortest pause between two requests, also when the server's Retry-After says less. Without a Retry-After pauses grow from here.
	Min time.Duration `yaml:"min" jsonschema:"default=1s"`
	// Longest pause between two requests, also when the server's Retry-After says more.
	Max time.Duration `yaml:"max" jsonschema:"default=5m"`
	// How long an export may take from its kick-off to its manifest. Exports of years of claims take hours.
	Deadline time.Duration `yaml:"deadline" jsonschema:"default=24h"`
}

func (d *decoder) checkSource(path string, s *Source) {
	s.FHIR = d.checkURL(join(path, "fhir"), s.FHIR, s.AllowHTTP, false)
	if strings.Contains(s.FHIR, "$export") {
		d.problemAt(join(path, "fhir"), "ends with $export; want the base URL, to which $export is appended")
	}
	d.checkAuth(join(path, "auth"), &s.Auth, s.AllowHTTP)
	poll := join(path, "poll")
	if s.Poll.Min > s.Poll.Max && !d.failed[join(poll, "max")] {
		d.problemAt(join(poll, "min"), "is longer than max; want at most that (5m where max is left out)")
	}
}

// keysOf lists the keys that a type of authentication needs, and those that it
// can take besides.
func keysOf(t AuthType) (needs, takes []string) {
	switch t {
	case AuthClientCredentials:
		return []string{"token_url", "client_id", "client_secret"}, []string{"token_method", "scope"}
	case AuthBearer:
		return []string{"token"}, nil
	}
	return nil, nil
}

func (d *decoder) checkAuth(path string, a *Auth, allowHTTP bool) {
	a.TokenURL = d.checkURL(join(path, "token_url"), a.TokenURL, allowHTTP, true)
	if strings.ContainsFunc(a.Token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		d.problemAt(d.secretPath(path, "token"), "has blanks or characters that no HTTP header can carry; want the token alone")
	}
	if a.Type == "" {
		return // said already
	}
	needs, takes := keysOf(a.Type)
	for _, key := range []struct{ name, value string }{
		{"token_url", a.TokenURL},
		{"token_method", ""}, // has a default, so it is never missing
		{"client_id", a.ClientID},
		{"client_secret", a.ClientSecret.Reveal()},
		{"scope", a.Scope},
		{"token", a.Token.Reveal()},
	} {
		keyPath := d.secretPath(path, key.name)
		want := key.name
		if key.name == "client_secret" || key.name == "token" {
			want += " or " + key.name + "_file"
		}
		switch {
		case slices.Contains(needs, key.name):
			if key.value == "" && !d.failed[join(path, key.name)] {
				what := "missing"
				if d.given(keyPath) {
					what = "is empty"
				}
				d.problemAt(keyPath, "%s; want %s with type %s", what, want, a.Type)
			}
		case !slices.Contains(takes, key.name) && d.given(keyPath) && (key.value != "" || key.name == "token_method"):
			allowed := "no other key"
			if all := slices.Concat(needs, takes); len(all) > 0 {
				allowed = strings.Join(all, ", ")
			}
			d.problemAt(keyPath, "is not used with type %s; want %s besides type", a.Type, allowed)
		}
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

// checkURL checks an absolute http or https URL and returns it without a slash
// at its end. Messages do not quote the URL, since it may hold a password.
func (d *decoder) checkURL(path, text string, allowHTTP, allowQuery bool) string {
	if text == "" || d.failed[path] {
		return text
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
	case u.User != nil:
		fault = "has a user name or password in it; want them in auth, or nowhere"
	case u.Fragment != "" || strings.Contains(text, "#"):
		fault = "has a #; want a URL without one"
	case !allowQuery && strings.Contains(text, "?"):
		fault = "has a ?; want the base URL alone"
	case u.Scheme == "http" && !allowHTTP && !isLoopback(u.Hostname()):
		fault = "is not encrypted; want https://, or allow_http: true in the source"
	}
	if fault != "" {
		d.problemAt(path, "%s", fault)
		return text
	}
	if allowQuery {
		return text
	}
	return strings.TrimRight(text, "/")
}

// isLoopback reports whether a host is this machine, so that nothing leaves it.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
