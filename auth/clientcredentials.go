package auth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"fhirkiln/transport"
)

// ClientCredentials gets a bearer token by OAuth 2.0's client credentials grant
// (RFC 6749 4.4) with a secret, as the Dev Portal realm of 1upHealth (a Keycloak)
// takes it.
type ClientCredentials struct {
	// TokenURL is where tokens are made. Empty: what the FHIR server at Discover names.
	TokenURL string

	// Discover is the base URL of a FHIR server that is asked for the token endpoint,
	// see [Discover], where TokenURL is empty.
	Discover string

	// Pin holds the endpoint that Discover finds to one origin; nil does not.
	Pin *Pin

	ClientID     string
	ClientSecret Secret

	// Basic sends id and secret as HTTP Basic (RFC 6749 2.3.1). The default is to send
	// them in the form. It is said, not tried out: a wrong try counts as a failed login.
	Basic bool

	// Scope is sent as it is, form-encoded: one opaque string, since servers put
	// characters into it that others would split at ("bulk-data|user/*.rs"). Empty
	// sends none.
	Scope string

	// RequireScope makes it an error that a scope which was asked for was not granted.
	// Without it, a granted scope other than Scope is a warning in Log, which the Cache
	// gives: once, and again when yet another is granted.
	RequireScope bool

	// Method is POST (the default, RFC 6749 3.2) or GET, which sends the same form as
	// the body of a GET: 1upHealth's page prints it so.
	Method string

	// HTTP sends the requests; required. It is made to retry here.
	HTTP *http.Client

	// Retry says how patiently. Its Again and Log are not used.
	Retry transport.Retry

	// Log gets a line when a request has to be sent again. Nil discards them.
	Log *slog.Logger
}

// Fetch implements [Fetcher]. A failure is a [*transport.Error]: Denied when the
// server refuses the client, NotThere when no token endpoint answers at TokenURL,
// Unavailable when none answers at all.
func (c ClientCredentials) Fetch(ctx context.Context) (Credential, error) {
	e, err := tokenEndpoint(ctx, c.TokenURL, c.Discover, c.Pin, c.HTTP, c.Retry, c.Log)
	if err != nil {
		return Credential{}, err
	}
	e.method = c.Method
	e.hints = map[string]string{
		"invalid_client": "check client_id and client_secret, client_auth (form or basic), that they belong to this realm, and that the client is enabled",
		// RFC 6749 5.2 has it for a grant that the client may not use; Keycloak says it of a wrong secret too.
		"unauthorized_client": "check client_secret, and that the client may use the client credentials grant (on a Keycloak: has a service account)",
		"invalid_scope":       fmt.Sprintf("check scope: %q was asked for", c.Scope),
		"":                    "check client_id, client_secret and scope with whoever registered the client",
	}
	answer, err := e.ask(ctx, func() (form, error) {
		f := form{values: url.Values{"grant_type": {"client_credentials"}}, secrets: []string{string(c.ClientSecret)}}
		if c.Basic {
			f.basic = url.UserPassword(c.ClientID, string(c.ClientSecret))
		} else {
			f.values.Set("client_id", c.ClientID)
			f.values.Set("client_secret", string(c.ClientSecret))
		}
		if c.Scope != "" {
			f.values.Set("scope", c.Scope)
		}
		return f, nil
	})
	if err != nil {
		return Credential{}, err
	}
	note, err := e.checkScope(answer, c.Scope, c.RequireScope)
	if err != nil {
		return Credential{}, err
	}
	return e.bearer(answer, note)
}

// tokenEndpoint is the one at url, or that which the server at discover names.
func tokenEndpoint(ctx context.Context, url, discover string, pin *Pin, client *http.Client, retry transport.Retry, log *slog.Logger) (endpoint, error) {
	retry.Log = log
	if url == "" && discover != "" {
		found, err := Discover(ctx, discover, client, retry)
		if err != nil {
			return endpoint{}, err
		}
		if err := pin.check(discover, found, log); err != nil {
			return endpoint{}, err
		}
		url = found
	}
	return endpoint{url: url, doing: "getting a token", http: client, retry: retry, log: log}, nil
}
