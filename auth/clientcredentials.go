package auth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"fhirkiln/transport"
)

// ClientCredentials obtains a bearer token by OAuth 2.0's client credentials grant
// (RFC 6749 4.4) with a client secret, as 1upHealth's Dev Portal realm (a Keycloak)
// expects it.
type ClientCredentials struct {
	// TokenURL is the token endpoint. If it is empty, the FHIR server at Discover names it.
	TokenURL string

	// Discover is the base URL of a FHIR server to ask for the token endpoint if TokenURL is
	// empty; see [Discover].
	Discover string

	// Pin, if not nil, restricts the endpoint that Discover finds to one origin.
	Pin *Pin

	ClientID     string
	ClientSecret Secret

	// Basic sends id and secret as HTTP Basic (RFC 6749 2.3.1) instead of in the form. It is
	// configured, not tried out, because a wrong attempt counts as a failed login.
	Basic bool

	// Scope is sent unchanged, form-encoded, as one opaque string: servers use characters in
	// it that others would split at ("bulk-data|user/*.rs"). If empty, none is sent.
	Scope string

	// RequireScope makes it an error if a requested scope was not granted. Otherwise, if the
	// granted scope differs from Scope, the Cache writes a warning to Log: once, and again
	// when a different scope is granted.
	RequireScope bool

	// Method is POST (the default, RFC 6749 3.2) or GET, which sends the same form as
	// the body of a GET, as 1upHealth's page shows it.
	Method string

	// HTTP sends the requests. It is required, and retries are added to it here.
	HTTP *http.Client

	// Retry configures the retries. Its Again and Log are not used.
	Retry transport.Retry

	// Log gets a line when a request has to be sent again. Nil discards them.
	Log *slog.Logger
}

// Fetch implements [Fetcher]. A failure is a [*transport.Error]: Denied if the server
// refuses the client, NotThere if what answers at TokenURL is no token endpoint,
// Unavailable if nothing answers.
func (c ClientCredentials) Fetch(ctx context.Context) (Credential, error) {
	e, err := tokenEndpoint(ctx, c.TokenURL, c.Discover, c.Pin, c.HTTP, c.Retry, c.Log)
	if err != nil {
		return Credential{}, err
	}
	e.method = c.Method
	e.hints = map[string]string{
		"invalid_client": "check client_id and client_secret, client_auth (form or basic), whether they belong to this realm, and whether the client is enabled",
		// RFC 6749 5.2 defines it for a grant that the client may not use; Keycloak also sends it
		// for a wrong secret.
		"unauthorized_client": "check client_secret, and whether the client may use the client credentials grant (in Keycloak: has a service account)",
		"invalid_scope":       fmt.Sprintf("check scope: %q was requested", c.Scope),
		"":                    "check client_id, client_secret and scope with whoever registered the client",
	}
	return e.grant(ctx, c.Scope, c.RequireScope, func() (form, error) {
		f := form{values: url.Values{"grant_type": {"client_credentials"}}, secrets: []string{string(c.ClientSecret)}}
		if c.Basic {
			f.basic = url.UserPassword(c.ClientID, string(c.ClientSecret))
		} else {
			f.values.Set("client_id", c.ClientID)
			f.values.Set("client_secret", string(c.ClientSecret))
		}
		return f, nil
	})
}

// tokenEndpoint returns the endpoint at url, or the one that the server at discover names.
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
