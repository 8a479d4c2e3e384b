package config

import (
	"slices"
	"strings"
)

// AuthType says how to get access tokens.
//
// A new type also goes into AuthTypes, the enum of Auth.Type, keysOf (new keys into Auth.values),
// and Static if it has no token endpoint; into fetcherOf in setup/credentials.go; into config.yaml;
// and into waysIn in cmd/fhirkiln/leak_origins_test.go, which checks where its credentials go.
type AuthType string

const (
	// AuthClientCredentials gets tokens from a token endpoint with a client id and secret
	// (RFC 6749, 4.4).
	AuthClientCredentials AuthType = "client_credentials"
	// AuthPrivateKeyJWT is AuthClientCredentials with a signed assertion instead of a
	// secret (SMART Backend Services).
	AuthPrivateKeyJWT AuthType = "private_key_jwt"
	// AuthOneUpUser gets the token of a user of 1upHealth's user management.
	AuthOneUpUser AuthType = "oneup_user"
	// AuthOneUpHeaders sends 1upHealth's client headers with each request.
	AuthOneUpHeaders AuthType = "oneup_headers"
	// AuthBearer sends a token that the user obtained by other means.
	AuthBearer AuthType = "bearer"
	// AuthNone sends no credentials.
	AuthNone AuthType = "none"
)

// AuthTypes returns all types, in the order of the enum of [Auth.Type].
func AuthTypes() []AuthType {
	return []AuthType{AuthClientCredentials, AuthPrivateKeyJWT, AuthOneUpUser, AuthOneUpHeaders, AuthBearer, AuthNone}
}

// Static reports whether the credentials themselves are sent to the FHIR server. No issuer refuses
// them, so a second Fetch means that the server did.
func (t AuthType) Static() bool { return t == AuthOneUpHeaders || t == AuthBearer }

// oneUpAll is the oneup_user_id that stands for all of a client's users.
const oneUpAll = "client"

// Auth says how to get access tokens. Type decides which fields are used.
type Auth struct {
	// client_credentials asks a token endpoint with a client id and a secret, private_key_jwt with a client id and a private key (SMART Backend Services). oneup_user and oneup_headers are 1upHealth's for users. bearer sends a token that you provide, none sends nothing.
	Type AuthType `yaml:"type" jsonschema:"required,enum=client_credentials,enum=private_key_jwt,enum=oneup_user,enum=oneup_headers,enum=bearer,enum=none"`

	// URL of the token endpoint. Optional with type oneup_user, where the default is https://auth.1up.health/oauth2/token.
	TokenURL string `yaml:"token_url" want:"a URL such as https://auth.example.org/token"`
	// Asks the FHIR server for the token endpoint (.well-known/smart-configuration). Replaces token_url.
	Discover bool `yaml:"discover" jsonschema:"default=false"`
	// HTTP method of the token request. POST is the standard (RFC 6749, 3.2); GET sends the same form as the body of a GET, as 1upHealth's page shows it.
	TokenMethod string `yaml:"token_method" jsonschema:"enum=GET,enum=POST,default=POST"`
	// Where the token request sends client_id and client_secret: in the form, or in the header as HTTP Basic.
	ClientAuth string `yaml:"client_auth" jsonschema:"enum=form,enum=basic,default=form"`
	// The client id that the server's owner gave you.
	ClientID string `yaml:"client_id"`
	// The client secret that the server's owner gave you.
	ClientSecret Secret `yaml:"client_secret"`
	// Scopes to request, as the server's owner writes them, separated by blanks. If left out, none is sent.
	Scope string `yaml:"scope"`
	// Fails if the server grants less than scope. Otherwise a granted scope that differs is only a warning.
	RequireScope bool `yaml:"require_scope" jsonschema:"default=false"`

	// The private key to sign with: a JWK, a JWK Set or PEM. RSA (RS384) or EC on P-384 (ES384).
	PrivateKey Secret `yaml:"private_key"`
	// Id (kid) under which the server knows the key. Required for PEM, and if several keys of a set could sign.
	KeyID string `yaml:"key_id"`
	// Registered URL of your JWK Set, sent as jku. Set it if the server requires that.
	JKU string `yaml:"jku" want:"a URL such as https://client.example.org/jwks.json"`

	// Your own id of the user whose data is exported.
	AppUserID string `yaml:"app_user_id"`
	// 1upHealth's number of the user, or client for all of your client's users.
	OneUpUserID string `yaml:"oneup_user_id" jsonschema:"pattern=^([0-9]+|client)$" want:"a number, or client"`
	// A code obtained elsewhere. It can be used once, within two hours.
	Code Secret `yaml:"code"`
	// A refresh token obtained elsewhere.
	RefreshToken Secret `yaml:"refresh_token"`
	// File that keeps the refresh token from run to run, because the server replaces it each time. Only fhirkiln should write it. If left out, the refresh token is kept in the state, under _fhirkiln/tokens.
	RefreshTokenStore string `yaml:"refresh_token_store"`
	// URL to get codes from. Default: https://api.1up.health/user-management/v1/user/auth-code.
	CodeURL string `yaml:"code_url" want:"a URL such as https://api.1up.health/user-management/v1/user/auth-code"`
	// Names in the requests of type oneup_user, in case 1upHealth changes them.
	Names Names `yaml:"names"`

	// The access token to send.
	Token Secret `yaml:"token"`

	// TokenFile is the file that Token comes from, or "" if Token is in the config itself.
	// By the time a server refuses Token, the file may hold another one.
	TokenFile string `yaml:"-"`
	// ClientSecretFile and PrivateKeyFile are the same for ClientSecret and PrivateKey; see
	// [Auth.Reread].
	ClientSecretFile string `yaml:"-"`
	PrivateKeyFile   string `yaml:"-"`
}

// secretFile is a secret of an [Auth] that is read from its file again.
type secretFile struct {
	key    string
	file   *string // "" if the secret is in the config itself
	secret *Secret
}

// rereadable lists the secrets that [Auth.Reread] reads again.
func (a *Auth) rereadable() []secretFile {
	return []secretFile{
		{"client_secret", &a.ClientSecretFile, &a.ClientSecret},
		{"private_key", &a.PrivateKeyFile, &a.PrivateKey},
	}
}

// FromFiles reports whether there is a file for [Auth.Reread] to read.
func (a Auth) FromFiles() bool {
	return slices.ContainsFunc(a.rereadable(), func(s secretFile) bool { return *s.file != "" })
}

// Reread returns a with ClientSecret and PrivateKey as their files hold them now, and whether
// either has changed. A file that cannot be read counts as unchanged: a program may be about
// to replace it.
func (a Auth) Reread() (_ Auth, changed bool) {
	for _, s := range a.rereadable() {
		if *s.file == "" {
			continue
		}
		if now, _, err := readSecret(*s.file); err == nil && now != *s.secret {
			*s.secret, changed = now, true
		}
	}
	return a, changed
}

// Names are the names of parameters and grant types. Empty names have defaults.
type Names struct {
	// The parameter that holds app_user_id when asking for a code. Default: app_user_id.
	User string `yaml:"user"`
	// The parameter that holds client_secret when asking for a code. Default: client_secret.
	CodeSecret string `yaml:"code_secret"`
	// The parameter that holds client_secret when asking for a token. Default: client_secret.
	TokenSecret string `yaml:"token_secret"`
	// The grant_type sent with a code. Default: authorization_code.
	CodeGrant string `yaml:"code_grant"`
	// The grant_type sent with a refresh token. Default: refresh_token.
	RefreshGrant string `yaml:"refresh_grant"`
}

// keysOf lists the keys that a type of authentication needs, those that it also takes, and
// those of which it needs at least one. token_url is not needed if discover is set.
func keysOf(t AuthType) (needs, takes, oneOf []string) {
	switch t {
	case AuthClientCredentials:
		return []string{"token_url", "client_id", "client_secret"}, []string{"token_method", "scope", "client_auth", "require_scope", "discover"}, nil
	case AuthPrivateKeyJWT:
		return []string{"token_url", "client_id", "private_key"}, []string{"key_id", "jku", "scope", "require_scope", "discover"}, nil
	case AuthOneUpUser:
		return []string{"client_id", "client_secret"}, []string{"app_user_id", "code", "refresh_token", "refresh_token_store", "token_url", "code_url", "names"},
			[]string{"app_user_id", "code", "refresh_token"}
	case AuthOneUpHeaders:
		one := []string{"oneup_user_id", "app_user_id"}
		return []string{"client_id", "client_secret"}, one, one
	case AuthBearer:
		return []string{"token"}, nil, nil
	}
	return nil, nil, nil
}

// authValue is the value of a key of [Auth].
type authValue struct {
	name, text string
	secret     bool
	fallback   bool // the key has a default, so it is never missing, though text is ""
}

func (a *Auth) values() []authValue {
	return []authValue{
		{name: "token_url", text: a.TokenURL},
		{name: "discover", fallback: true},
		{name: "token_method", fallback: true},
		{name: "client_auth", fallback: true},
		{name: "client_id", text: a.ClientID},
		{name: "client_secret", text: a.ClientSecret.Reveal(), secret: true},
		{name: "scope", text: a.Scope},
		{name: "require_scope", fallback: true},
		{name: "private_key", text: a.PrivateKey.Reveal(), secret: true},
		{name: "key_id", text: a.KeyID},
		{name: "jku", text: a.JKU},
		{name: "app_user_id", text: a.AppUserID},
		{name: "oneup_user_id", text: a.OneUpUserID},
		{name: "code", text: a.Code.Reveal(), secret: true},
		{name: "refresh_token", text: a.RefreshToken.Reveal(), secret: true},
		{name: "refresh_token_store", text: a.RefreshTokenStore},
		{name: "code_url", text: a.CodeURL},
		{name: "names", fallback: true},
		{name: "token", text: a.Token.Reveal(), secret: true},
	}
}

func (d *decoder) checkAuth(path string, a *Auth, allowHTTP bool) {
	d.checkURL(join(path, "token_url"), a.TokenURL, allowHTTP)
	d.checkURL(join(path, "code_url"), a.CodeURL, allowHTTP)
	d.checkURL(join(path, "jku"), a.JKU, allowHTTP)
	a.RefreshTokenStore = d.resolved(a.RefreshTokenStore)
	d.checkExposed(join(path, "refresh_token_store"), a.RefreshTokenStore)
	a.TokenFile = d.secretFiles[join(path, "token")]
	for _, s := range a.rereadable() {
		*s.file = d.secretFiles[join(path, s.key)]
	}
	d.checkInHeaders(path, a)
	if a.Type == "" {
		return // already reported
	}
	needs, takes, oneOf := keysOf(a.Type)
	discover := join(path, "discover")
	if (a.Discover || d.failed[discover]) && slices.Contains(takes, "discover") {
		needs, takes = needs[1:], append(takes, "token_url")
		if a.TokenURL != "" && !d.failed[discover] {
			d.problemAt(join(path, "token_url"), "discover is also set; set only one of them")
		}
	}
	for _, v := range a.values() {
		keyPath := d.secretPath(path, v.name)
		want := v.name
		if v.secret {
			want += " or " + v.name + "_file"
		}
		switch {
		case slices.Contains(needs, v.name):
			if v.text == "" && !d.failed[join(path, v.name)] {
				if d.given(keyPath) {
					d.valueProblemAt(keyPath, "is empty; type %s requires %s", a.Type, want)
				} else {
					d.problemAt(keyPath, "missing; type %s requires %s", a.Type, want)
				}
			}
		case !slices.Contains(takes, v.name) && d.given(keyPath) && (v.text != "" || v.fallback):
			allowed := "no other keys"
			if all := slices.Concat(needs, takes); len(all) > 0 {
				allowed = "only " + strings.Join(all, ", ")
			}
			d.problemAt(keyPath, "is not used with type %s, which takes %s", a.Type, allowed)
		}
	}
	d.checkUser(path, a, oneOf)
}

// checkUser checks that 1upHealth's types say whose data to ask for.
func (d *decoder) checkUser(path string, a *Auth, oneOf []string) {
	has, empty := 0, ""
	for _, v := range a.values() {
		key := d.secretPath(path, v.name)
		switch {
		case !slices.Contains(oneOf, v.name):
		case v.text != "" || d.failed[join(path, v.name)]:
			has++
		case d.given(key):
			empty = key
		}
	}
	switch {
	case has == 0 && empty != "":
		d.valueProblemAt(empty, "is empty; type %s requires %s", a.Type, strings.Join(oneOf, " or "))
	case len(oneOf) > 0 && has == 0:
		d.problemAt(path, "does not say whose data to export; type %s requires %s", a.Type, strings.Join(oneOf, " or "))
	case a.Type == AuthOneUpHeaders && has > 1:
		d.problemAt(join(path, "app_user_id"), "oneup_user_id is also set; set only one of them")
	}
}

// checkInHeaders checks values that are sent in HTTP headers.
func (d *decoder) checkInHeaders(path string, a *Auth) {
	inHeader := map[string]string{"token": a.Token.Reveal()}
	if a.Type == AuthOneUpHeaders {
		inHeader["client_id"], inHeader["client_secret"], inHeader["app_user_id"] = a.ClientID, a.ClientSecret.Reveal(), a.AppUserID
	}
	for key, text := range inHeader {
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			d.valueProblemAt(d.secretPath(path, key), "has spaces or characters that an HTTP header cannot carry; expected only the %s", key)
		}
	}
}
