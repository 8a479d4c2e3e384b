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

// PrivateKeyJWT gets a bearer token by SMART Backend Services: the client credentials
// grant, with an assertion signed by the client's private key instead of a secret
// (SMART App Launch, "Backend Services" and "Client Authentication: Asymmetric").
type PrivateKeyJWT struct {
	// TokenURL is where tokens are made, and the assertion's audience. Empty: what the
	// FHIR server at Discover names.
	TokenURL string

	// Discover is the base URL of a FHIR server that is asked for the token endpoint,
	// see [Discover], where TokenURL is empty.
	Discover string

	// Pin is as that of [ClientCredentials].
	Pin *Pin

	ClientID string

	// Key signs; its public half is registered with the server.
	Key Key

	// KeySetURL is the registered URL of the client's JWK Set, sent as jku. Empty sends
	// none: most servers know the URL.
	KeySetURL string

	// Scope, RequireScope, HTTP, Retry and Log are as those of [ClientCredentials].
	Scope        string
	RequireScope bool
	HTTP         *http.Client
	Retry        transport.Retry
	Log          *slog.Logger
}

const (
	// assertionLife is half of the five minutes that an assertion may be good for, so that
	// it is neither over nor too far ahead while either clock is wrong by up to two minutes
	// and a half. There is no nbf, which a server behind ours would refuse.
	assertionLife = 150 * time.Second

	// assertionAge is how old an assertion says that it is (iat). Without iat, Keycloak
	// refuses what is good for more than a minute; with it, the minute counts from there,
	// and the time of issue may be up to 15 s ahead. 20 s are near the middle of that: our
	// clock may be 35 s ahead of a Keycloak's and 40 s behind it.
	assertionAge = 20 * time.Second
)

// Fetch implements [Fetcher]. Every request, also one that is sent again, has an
// assertion of its own: servers refuse a jti that they have seen. Failures are those
// of [ClientCredentials.Fetch].
func (p PrivateKeyJWT) Fetch(ctx context.Context) (Credential, error) {
	if p.Key.sign == nil {
		return Credential{}, errors.New("getting a token: there is no key to sign with")
	}
	e, err := tokenEndpoint(ctx, p.TokenURL, p.Discover, p.Pin, p.HTTP, p.Retry, p.Log)
	if err != nil {
		return Credential{}, err
	}
	e.hints = map[string]string{
		"invalid_scope": fmt.Sprintf("check scope: %q was asked for", p.Scope),
		"":              "check client_id, private_key, key_id, jku and scope, that the server knows the public key, and that token_url is spelt as the server spells it",
	}
	answer, err := e.ask(ctx, func() (form, error) {
		assertion, err := p.assertion(e.url)
		if err != nil {
			return form{}, err
		}
		f := form{secrets: []string{assertion}, values: url.Values{
			"grant_type":            {"client_credentials"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {assertion},
		}}
		if p.Scope != "" {
			f.values.Set("scope", p.Scope)
		}
		return f, nil
	})
	if err != nil {
		return Credential{}, err
	}
	note, err := e.checkScope(answer, p.Scope, p.RequireScope)
	if err != nil {
		return Credential{}, err
	}
	return e.bearer(answer, note)
}

// assertion signs one for one request.
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
