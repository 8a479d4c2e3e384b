package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"fhirkiln/transport"
)

// PrivateKeyJWT obtains a bearer token by SMART Backend Services: the client credentials
// grant, with an assertion signed by the client's private key instead of a secret
// (SMART App Launch, "Backend Services" and "Client Authentication: Asymmetric").
type PrivateKeyJWT struct {
	// TokenURL is the token endpoint, and the assertion's audience. If it is empty, the FHIR
	// server at Discover names it.
	TokenURL string

	// Discover is the base URL of a FHIR server to ask for the token endpoint if TokenURL is
	// empty; see [Discover].
	Discover string

	// Pin is as in [ClientCredentials].
	Pin *Pin

	ClientID string

	// Key signs the assertions; its public half is registered with the server.
	Key Key

	// KeySetURL is the registered URL of the client's JWK Set, sent as jku. If it is empty,
	// none is sent: most servers know the URL.
	KeySetURL string

	// Scope, RequireScope, HTTP, Retry and Log are as in [ClientCredentials].
	Scope        string
	RequireScope bool
	HTTP         *http.Client
	Retry        transport.Retry
	Log          *slog.Logger
}

const (
	// assertionLife is half of the five minutes for which an assertion may be valid, so that
	// the server finds it neither expired nor valid for too long while the clocks differ by up
	// to two and a half minutes. There is no nbf: a server behind our clock would refuse it.
	assertionLife = 150 * time.Second

	// assertionAge is how far in the past an assertion claims to have been issued (iat).
	// Without iat, Keycloak refuses an assertion that is valid for more than a minute; with
	// it, the minute counts from iat, which may be up to 15 s in the future. 20 s is near the
	// middle of that range: our clock may be 35 s ahead of Keycloak's or 40 s behind it.
	assertionAge = 20 * time.Second
)

// Fetch implements [Fetcher]. Every request, including a retry, has an assertion of its own,
// because servers refuse a jti that they have seen. It fails like [ClientCredentials.Fetch].
func (p PrivateKeyJWT) Fetch(ctx context.Context) (Credential, error) {
	if p.Key.sign == nil {
		return Credential{}, errors.New("getting a token: no key to sign with")
	}
	e, err := tokenEndpoint(ctx, p.TokenURL, p.Discover, p.Pin, p.HTTP, p.Retry, p.Log)
	if err != nil {
		return Credential{}, err
	}
	e.hints = map[string]string{
		"invalid_scope": fmt.Sprintf("check scope: %q was requested", p.Scope),
		"":              "check client_id, private_key, key_id, jku and scope, whether the server knows the public key, and whether token_url is spelled as the server spells it",
	}
	return e.grant(ctx, p.Scope, p.RequireScope, func() (form, error) {
		assertion, err := p.assertion(e.url)
		if err != nil {
			return form{}, err
		}
		return form{secrets: []string{assertion}, values: url.Values{
			"grant_type":            {"client_credentials"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {assertion},
		}}, nil
	})
}

// assertion returns a signed assertion for one request.
func (p PrivateKeyJWT) assertion(audience string) (string, error) {
	now := time.Now()
	claims, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		Issued   int64  `json:"iat"`
		Expires  int64  `json:"exp"`
		ID       string `json:"jti"`
	}{p.ClientID, p.ClientID, audience, now.Add(-assertionAge).Unix(), now.Add(assertionLife).Unix(), rand.Text()})
	if err != nil {
		return "", fmt.Errorf("making an assertion: %w", err)
	}
	signed, err := p.Key.sign(claims, p.KeySetURL)
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	return signed, nil
}
