package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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

// keys generates the keys of these tests once: RSA keys take a while.
var keys = sync.OnceValue(func() (k struct {
	rsa, weak *rsa.PrivateKey
	ec, p256  *ecdsa.PrivateKey
}) {
	k.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.weak, _ = rsa.GenerateKey(rand.Reader, 1024)
	k.ec, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k.p256, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return k
})

// jwtServer is a token endpoint that enforces every rule of SMART's text.
type jwtServer struct {
	url    string
	public map[string]any // by kid
	jku    string
	now    func() time.Time
	faults int // how many requests are answered with 503 after using up the assertion

	mu       sync.Mutex
	seen     map[string]bool // jti
	requests int
	algs     []string
}

func newJWTServer(t *testing.T, public map[string]any) *jwtServer {
	t.Helper()
	s := &jwtServer{public: public, seen: map[string]bool{}, now: time.Now}
	s.url = serve(t, s.ServeHTTP) + "/token"
	return s
}

func (s *jwtServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	s.requests++
	if err := s.check(r); err != nil {
		w.WriteHeader(400)
		json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": err.Error() + " in " + r.PostForm.Get("client_assertion")})
		return
	}
	if s.faults > 0 {
		s.faults--
		w.WriteHeader(503)
		return
	}
	fmt.Fprint(w, `{"access_token":"good","token_type":"bearer","expires_in":300,"scope":"system/*.rs"}`)
}

func (s *jwtServer) check(r *http.Request) error {
	r.ParseForm()
	for name, want := range map[string]string{"grant_type": "client_credentials", "scope": "system/*.rs",
		"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"} {
		if got := r.PostForm[name]; len(got) != 1 || got[0] != want {
			return fmt.Errorf("%s is %q", name, got)
		}
	}
	if r.Method != "POST" || r.PostForm.Has("client_id") || r.PostForm.Has("client_secret") || r.Header.Get("Authorization") != "" || len(r.URL.Query()) > 0 {
		return fmt.Errorf("%s, or two ways of authentication", r.Method)
	}
	jws, err := jose.ParseSignedCompact(r.PostForm.Get("client_assertion"), []jose.SignatureAlgorithm{jose.RS384, jose.ES384})
	if err != nil {
		return err
	}
	header := jws.Signatures[0].Protected
	if jku, _ := header.ExtraHeaders["jku"].(string); header.ExtraHeaders[jose.HeaderType] != "JWT" || jku != s.jku {
		return fmt.Errorf("the header is %v", header.ExtraHeaders)
	}
	payload, err := jws.Verify(s.public[header.KeyID])
	if err != nil {
		return fmt.Errorf("signature of key %q: %w", header.KeyID, err)
	}
	var claims struct {
		Iss, Sub, Aud, Jti string
		Exp                int64
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return err
	}
	life := time.Unix(claims.Exp, 0).Sub(s.now())
	switch {
	case claims.Iss != "client" || claims.Sub != "client" || claims.Aud != s.url:
		return fmt.Errorf("the claims are %+v", claims)
	case life <= 0 || life > 5*time.Minute:
		return fmt.Errorf("good for %v", life)
	case len(claims.Jti) < 16 || s.seen[claims.Jti]:
		return fmt.Errorf("jti %q was seen", claims.Jti)
	}
	s.seen[claims.Jti] = true
	s.algs = append(s.algs, header.Algorithm)
	return nil
}

func jwk(key any, edit ...func(*jose.JSONWebKey)) string {
	k := jose.JSONWebKey{Key: key, KeyID: "k1"}
	for _, e := range edit {
		e(&k)
	}
	data, err := k.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return string(data)
}

func set(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func pemOf(kind string, der []byte, _ ...error) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pemOf("PRIVATE KEY", der)
}

func sec1(key *ecdsa.PrivateKey) string {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pemOf("EC PARAMETERS", []byte{6, 5, 43, 129, 4, 0, 34}) + pemOf("EC PRIVATE KEY", der)
}

func named(id string) func(*jose.JSONWebKey) { return func(k *jose.JSONWebKey) { k.KeyID = id } }

func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	k := keys()
	ecPublic, rsaPublic := jwk(&k.ec.PublicKey), jwk(&k.rsa.PublicKey, named("other"))
	for _, test := range []struct {
		name, data, id string
		public         any
		alg            string
	}{
		{"JWK, RSA", jwk(k.rsa), "", &k.rsa.PublicKey, "RS384"},
		{"JWK, EC", jwk(k.ec, func(k *jose.JSONWebKey) { k.Algorithm, k.Use = "ES384", "sig" }), "", &k.ec.PublicKey, "ES384"},
		{"JWK to sign", strings.Replace(jwk(k.rsa), "{", `{"key_ops":["sign","verify"],`, 1), "", &k.rsa.PublicKey, "RS384"},
		{"JWK without a kid", jwk(k.ec, named("")), "k1", &k.ec.PublicKey, "ES384"},
		{"set, chosen", set(jwk(k.ec, named("k0")), jwk(k.rsa)), "k1", &k.rsa.PublicKey, "RS384"},
		{"set, the one that can sign", set(ecPublic, rsaPublic, `{"kty":"oct","k":"AAAA"}`, jwk(k.p256, named("p")), jwk(k.rsa)), "", &k.rsa.PublicKey, "RS384"},
		{"PKCS #8, RSA", pkcs8(k.rsa), "k1", &k.rsa.PublicKey, "RS384"},
		{"PKCS #8, EC", "some words\n" + pkcs8(k.ec), "k1", &k.ec.PublicKey, "ES384"},
		{"PKCS #1", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.rsa)), "k1", &k.rsa.PublicKey, "RS384"},
		{"SEC 1", sec1(k.ec), "k1", &k.ec.PublicKey, "ES384"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, err := auth.ParseKey([]byte("\n"+test.data), test.id)
			if err != nil {
				t.Fatal(err)
			}
			server := newJWTServer(t, map[string]any{"k1": test.public})
			server.faults = 3
			grant := auth.PrivateKeyJWT{TokenURL: server.url, ClientID: "client", Key: key, Scope: "system/*.rs", RequireScope: true, HTTP: newClient(t), Retry: quick}
			for range 2 {
				c, err := grant.Fetch(t.Context())
				if err != nil || authorization(c) != "Bearer good" {
					t.Fatalf("got %q, %v", authorization(c), err)
				}
			}
			// The server checked each for a jti of its own, retries included.
			if server.requests != 5 || len(server.seen) != 5 || server.algs[0] != test.alg {
				t.Errorf("%d requests, %d assertions by %v", server.requests, len(server.seen), server.algs)
			}
		})
	}
}

func TestPrivateKeyJWTHeader(t *testing.T) {
	t.Parallel()
	key, err := auth.ParseKey([]byte(jwk(keys().ec)), "")
	if err != nil {
		t.Fatal(err)
	}
	server := newJWTServer(t, map[string]any{"k1": &keys().ec.PublicKey})
	server.jku = "https://client.example/jwks.json"
	grant := auth.PrivateKeyJWT{TokenURL: server.url, ClientID: "client", Key: key, KeySetURL: server.jku, Scope: "system/*.rs", HTTP: newClient(t), Retry: quick}
	if _, err := grant.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
	// A refusal is not retried, and what the server quotes is not shown.
	grant.ClientID = "other"
	_, err = grant.Fetch(t.Context())
	e := wantError(t, err, transport.Denied, "invalid_client", "the claims are")
	if strings.Contains(e.Error(), "eyJ") || server.requests != 2 {
		t.Errorf("got %v after %d requests", e, server.requests)
	}
}

// A server whose clock is two minutes off, either way, accepts the assertion; if it is off by
// more, the user is told.
func TestPrivateKeyJWTWithWrongClocks(t *testing.T) {
	t.Parallel()
	key, err := auth.ParseKey([]byte(jwk(keys().ec)), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []time.Duration{-2 * time.Minute, 0, 2 * time.Minute, -10 * time.Minute, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			server := &jwtServer{url: "https://h.example/token", public: map[string]any{"k1": &keys().ec.PublicKey}, seen: map[string]bool{},
				now: func() time.Time { return time.Now().Add(off) }}
			grant := auth.PrivateKeyJWT{TokenURL: server.url, ClientID: "client", Key: key, Scope: "system/*.rs",
				HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					status, body := 200, `{"access_token":"x"}`
					if err := server.check(r); err != nil {
						status, body = 400, `{"error":"invalid_client"}`
					}
					resp := answer(r, status, "application/json", body)
					resp.Header.Set("Date", server.now().UTC().Format(http.TimeFormat))
					return resp, nil
				})}}
			_, err := grant.Fetch(t.Context())
			if off.Abs() < 3*time.Minute {
				if err != nil {
					t.Errorf("%v off: %v", off, err)
				}
				return
			}
			if e := wantError(t, err, transport.Denied); !strings.Contains(e.Hint, "differ by 10m0s") {
				t.Errorf("the hint is %q", e.Hint)
			}
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	k := keys()
	for name, test := range map[string]struct{ data, id, want string }{
		"nothing":              {"", "", "not a key"},
		"words":                {"S3CR3T", "", "not a key"},
		"cut JSON":             {`{"kty":"S3CR3T`, "", "not a readable JWK"},
		"other JSON":           {`{"a":"S3CR3T"}`, "", "no key can sign: not a readable JWK of a private RSA or EC key"},
		"empty set":            {`{"keys":[]}`, "", "no key has that key id"},
		"public":               {jwk(&k.rsa.PublicKey), "", "it is a public key"},
		"P-256":                {jwk(k.p256), "", "an EC key on P-256; want P-384"},
		"weak":                 {jwk(k.weak), "", "1024 bits"},
		"to encrypt":           {jwk(k.rsa, func(k *jose.JSONWebKey) { k.Use = "enc" }), "", "does not allow signing"},
		"another algorithm":    {jwk(k.rsa, func(k *jose.JSONWebKey) { k.Algorithm = "RS256" }), "", "its alg is not RS384"},
		"no kid":               {jwk(k.rsa, named("")), "", "no kid"},
		"another kid":          {jwk(k.rsa), "k2", "no key has that key id"},
		"several":              {set(jwk(k.rsa), jwk(k.ec, named("k2"))), "", "several keys can sign (k1, k2)"},
		"no kid, and public":   {jwk(&k.rsa.PublicKey, named("")), "k1", "it is a public key"},
		"chosen is unreadable": {set(`{"kty":"S3CR3T","kid":"k1"}`, jwk(k.ec, named("k2"))), "k1", "no key can sign: not a readable JWK of"},
		"to verify":            {strings.Replace(jwk(k.rsa), "{", `{"key_ops":["verify"],`, 1), "", "does not allow signing"},
		"PEM, weak":            {pkcs8(k.weak), "k1", "1024 bits"},
		"PEM, P-256":           {pkcs8(k.p256), "k1", "an EC key on P-256"},
		"chosen is public":     {set(jwk(&k.rsa.PublicKey), jwk(k.ec, named("k2"))), "k1", "it is a public key"},
		"PEM without id":       {pkcs8(k.rsa), "", "no key id"},
		"PEM of a certificate": {pemOf("CERTIFICATE", []byte("x")), "k1", "no private key"},
		"PEM, broken":          {pemOf("PRIVATE KEY", []byte("S3CR3T")), "k1", "unreadable"},
		"PEM, encrypted":       {pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), "k1", "is encrypted"},
		"PEM, old encryption":  {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "k1", "is encrypted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := auth.ParseKey([]byte(test.data), test.id)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestPrivateKeyJWTWithoutKey(t *testing.T) {
	t.Parallel()
	if _, err := (auth.PrivateKeyJWT{TokenURL: "https://h.example/"}).Fetch(t.Context()); err == nil {
		t.Error("there was a token")
	}
}
