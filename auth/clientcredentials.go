package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"fhirkiln/transport"
)

// ClientCredentials gets a bearer token by OAuth 2.0's client credentials grant
// (RFC 6749 4.4), with id and secret in the form, as the Dev Portal realm of 1upHealth
// (a Keycloak) takes it.
type ClientCredentials struct {
	TokenURL     string
	ClientID     string
	ClientSecret string

	// Scope is sent as it is, form-encoded: one opaque string, since servers put
	// characters into it that others would split at ("bulk-data|user/*.rs"). Empty
	// sends none.
	Scope string

	// Method is POST (the default, RFC 6749 3.2) or GET, which sends the same form as
	// the body of a GET: 1upHealth's page prints it so.
	Method string

	// HTTP sends the request; required. It is made to retry here.
	HTTP *http.Client

	// Log gets a line when a request has to be sent again. Nil discards them.
	Log *slog.Logger
}

// Fetch implements [Fetcher]. A failure is a [*transport.Error]: Denied when the
// server refuses the client, NotThere when no token endpoint answers at TokenURL,
// Unavailable when none answers at all.
func (c ClientCredentials) Fetch(ctx context.Context) (Credential, error) {
	client := transport.Retrying(c.HTTP, transport.Retry{Log: c.Log})
	// A token endpoint has no business redirecting, and the form holds the secret.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.Method == http.MethodGet {
		client.Transport = getWithBody{client.Transport}
	}
	config := clientcredentials.Config{
		ClientID:     c.ClientID,
		ClientSecret: c.ClientSecret,
		TokenURL:     c.TokenURL,
		AuthStyle:    oauth2.AuthStyleInParams, // said, not tried out: a wrong try counts as a failed login
	}
	if c.Scope != "" {
		config.Scopes = []string{c.Scope}
	}
	// x/oauth2 makes the request and reads the answer. Its Transport is not used:
	// it adds the bearer again on every hop of a redirect.
	token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return Credential{}, c.explain(ctx, err)
	}
	cred := Bearer(token.AccessToken)
	cred.expires = token.Expiry
	return cred, nil
}

// getWithBody turns the POST that x/oauth2 makes into a GET with the same form.
type getWithBody struct{ next http.RoundTripper }

func (g getWithBody) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Method = http.MethodGet
	return g.next.RoundTrip(req)
}

// explain turns x/oauth2's error into one that tells the user what to try, and keeps
// the secret out of it even where a server repeats what it was sent.
func (c ClientCredentials) explain(ctx context.Context, err error) error {
	const doing = "getting a token"
	var answered *oauth2.RetrieveError
	if !errors.As(err, &answered) {
		if strings.Contains(err.Error(), "cannot parse") || strings.Contains(err.Error(), "missing access_token") {
			return &transport.Error{Kind: transport.NotThere, Doing: doing, URL: c.TokenURL,
				Said: "the answer is not a token response (RFC 6749 5.1)", Hint: "check token_url: it should end in …/protocol/openid-connect/token on a Keycloak"}
		}
		return transport.NoAnswer(ctx, doing, c.TokenURL, err)
	}
	status := answered.Response.StatusCode
	e := &transport.Error{Kind: transport.KindOf(status), Doing: doing, URL: c.TokenURL, Status: status}
	if answered.ErrorCode != "" {
		e.Said = answered.ErrorCode
		if answered.ErrorDescription != "" {
			e.Said += " (" + answered.ErrorDescription + ")"
		}
		e.Said = transport.Clean(c.withoutSecret(e.Said))
		if e.Kind == transport.Refused || status == http.StatusOK {
			e.Kind = transport.Denied // an error of a token endpoint is about the client (RFC 6749 5.2), also with the 200 of some
		}
	}
	switch e.Kind {
	case transport.Denied:
		e.Hint = cmp.Or(map[string]string{
			"invalid_client": "check client_id and client_secret, and that they belong to this realm",
			"invalid_scope":  fmt.Sprintf("check scope: %q was asked for", c.Scope),
		}[answered.ErrorCode], "check client_id, client_secret and scope with whoever registered the client")
	case transport.NotThere:
		e.Hint = "check token_url"
		if status == http.StatusMethodNotAllowed {
			e.Hint = "try the other token_method (POST or GET)"
		} else if to, err := answered.Response.Location(); err == nil {
			e.Hint = "the server redirects to " + transport.Redact(to.String()) + ": if that is the token endpoint, make it the token_url"
		}
	case transport.Unavailable:
		e.Hint = "run again later"
	default:
		e.Hint = "check token_url, client_id, client_secret and scope"
	}
	return e
}

func (c ClientCredentials) withoutSecret(s string) string {
	if c.ClientSecret == "" {
		return s
	}
	return strings.NewReplacer(c.ClientSecret, "[redacted]", url.QueryEscape(c.ClientSecret), "[redacted]").Replace(s)
}
