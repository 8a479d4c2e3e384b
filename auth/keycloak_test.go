package auth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirkiln/auth"
	"fhirkiln/transport"
)

// keycloak accepts assertions by the rules of Keycloak 26.3.5, and refuses in its words, as
// seen in responses of that version.
type keycloak struct {
	keys  jose.JSONWebKeySet // public
	clock func() time.Time   // its own

	mu   sync.Mutex
	seen map[string]bool // jti
}

// RoundTrip implements [http.RoundTripper].
func (k *keycloak) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	if why := k.objection(r.PostForm.Get("client_assertion")); why != "" {
		return answer(r, 400, "application/json", fmt.Sprintf(`{"error":"invalid_client","error_description":"Client authentication with signed JWT failed: %s"}`, why)), nil
	}
	return answer(r, 200, "application/json", `{"access_token":"abc","expires_in":60,"refresh_expires_in":0,"token_type":"Bearer","not-before-policy":0,"scope":"system/*.rs email profile"}`), nil
}

func (k *keycloak) objection(assertion string) string {
	signed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.RS384, jose.ES384})
	if err != nil {
		return err.Error()
	}
	payload, err := signed.Verify(k.keys)
	if err != nil {
		return err.Error()
	}
	var claims struct {
		Audience any    `json:"aud"`
		ID       string `json:"jti"`
		Exp      int64  `json:"exp"`
		Iat      int64  `json:"iat"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return err.Error()
	}
	const life, grace = 60, 15 // seconds
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.clock().Unix()
	switch again := k.seen[claims.ID]; {
	case claims.Audience != tokenURL:
		return "Multiple audiences not allowed in the JWT token for client authentication"
	case claims.Exp <= now:
		return "Token is not active"
	case claims.Iat == 0 && claims.Exp > now+life:
		return "Token expiration is too far in the future and iat claim not present in token"
	case claims.Iat != 0 && claims.Iat > now+grace:
		return "Token was issued in the future"
	case claims.Iat != 0 && claims.Iat < now-life:
		return "Token was issued too far in the past to be used now"
	case claims.ID == "" || again:
		return "Token reuse detected"
	}
	k.seen[claims.ID] = true
	return ""
}

const tokenURL = "https://auth.example.com/auth/realms/dev-portal/protocol/openid-connect/token"

// TestKeycloakAssertion tests SMART Backend Services with a Keycloak whose clock may be half
// a minute off.
func TestKeycloakAssertion(t *testing.T) {
	t.Parallel()
	for _, private := range []any{keys().rsa, keys().ec} {
		for _, off := range []time.Duration{-35 * time.Second, -20 * time.Second, 0, 20 * time.Second, 40 * time.Second} {
			t.Run(fmt.Sprintf("%T %v", private, off), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					key, err := auth.ParseKey([]byte(jwk(private)), "")
					if err != nil {
						t.Fatal(err)
					}
					both := jose.JSONWebKey{Key: private, KeyID: "k1"}
					server := &keycloak{keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{both.Public()}}, seen: map[string]bool{},
						clock: func() time.Time { return time.Now().Add(off) }}
					grant := auth.PrivateKeyJWT{TokenURL: tokenURL, ClientID: "smart", Key: key, Scope: "system/*.rs", HTTP: &http.Client{Transport: server}}
					for range 3 {
						if _, err := grant.Fetch(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				})
			})
		}
	}
}

// TestKeycloakRefusals tests Keycloak 26.3.5's responses to users' mistakes, and the hints
// that users get.
func TestKeycloakRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, method string
		status       int
		body         string
		kind         transport.Kind
		hint         string
	}{
		{"a wrong secret", "", 401, `{"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}`, transport.Denied, "client_secret"},
		{"no service account", "", 401, `{"error":"unauthorized_client","error_description":"Client not enabled to retrieve service account"}`, transport.Denied, "service account"},
		{"an unknown client, or one that is disabled", "", 401, `{"error":"invalid_client","error_description":"Invalid client or Invalid client credentials"}`, transport.Denied, "enabled"},
		{"an unknown scope", "", 400, `{"error":"invalid_scope","error_description":"Invalid scopes: nope"}`, transport.Denied, "check scope"},
		{"a wrong realm", "", 404, `{"error":"Realm does not exist"}`, transport.NotThere, "check token_url"},
		{"a path with a letter too many", "", 405, `{"error":"HTTP 405 Method Not Allowed"}`, transport.NotThere, "check token_url"},
		{"GET", "GET", 405, `{"error":"HTTP 405 Method Not Allowed"}`, transport.NotThere, "token_method: POST"},
		{"GET at oidc-provider 9.13.3", "GET", 404, `Not Found`, transport.NotThere, "token_method: POST"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				return answer(r, test.status, "application/json", test.body), nil
			})}
			_, err := auth.ClientCredentials{TokenURL: tokenURL, ClientID: "c", ClientSecret: secret, Method: test.method, HTTP: client, Retry: quick}.Fetch(t.Context())
			if e := wantError(t, err, test.kind); !strings.Contains(e.Hint, test.hint) {
				t.Errorf("the hint is %q, want %q in it", e.Hint, test.hint)
			}
		})
	}
}
