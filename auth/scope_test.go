package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"fhirkiln/auth"
	"fhirkiln/transport"
)

func TestClientCredentialsBasic(t *testing.T) {
	t.Parallel()
	const id, password = "my client:1", "S3CR3T+b &c=%d/é"
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, pass, ok := r.BasicAuth()
		user, _ = url.QueryUnescape(user)
		pass, _ = url.QueryUnescape(pass)
		r.ParseForm()
		w.Header().Set("Content-Type", "application/json")
		if !ok || user != id || pass != password || r.PostForm.Encode() != "grant_type=client_credentials&scope=a" {
			w.WriteHeader(401)
			fmt.Fprintf(w, `{"error":"invalid_client","error_description":"no: %s %s"}`, r.Header.Get("Authorization"), r.PostForm.Encode())
			return
		}
		fmt.Fprint(w, `{"access_token":"x","scope":"a"}`)
	})
	grant := auth.ClientCredentials{TokenURL: url, ClientID: id, ClientSecret: password, Basic: true, Scope: "a", HTTP: newClient(t)}
	if _, err := grant.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
	grant.ClientSecret = "S3CR3T"
	_, err := grant.Fetch(t.Context())
	if e := wantError(t, err, transport.Denied, "no: Basic [credential]"); !strings.Contains(e.Hint, "client_auth") {
		t.Errorf("the hint is %q", e.Hint)
	}
}

func TestGrantedScope(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		asked, granted string // granted is JSON
		warned, fails  bool
	}{
		{"a b", `"a b"`, false, false},
		{"a b", `"b  a"`, false, false},
		{"b a", `"a b"`, false, false},
		{"a b", ``, false, false},
		{"a b", `null`, false, false},
		{"a b", `""`, false, false},
		{"", `"a"`, false, false},
		{"a", `"a profile"`, true, false},
		{"a b", `"a"`, true, true},
		{"bulk-data|user/*.rs", `"bulk-data|user/*.r"`, true, true},
	} {
		t.Run(test.asked+" "+test.granted, func(t *testing.T) {
			t.Parallel()
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				scope := ""
				if test.granted != "" {
					scope = `,"scope":` + test.granted
				}
				fmt.Fprintf(w, `{"access_token":"x"%s}`, scope)
			})
			var log bytes.Buffer
			grant := auth.ClientCredentials{TokenURL: url, ClientSecret: secret, Scope: test.asked, HTTP: newClient(t), Log: slog.New(slog.NewTextHandler(&log, nil))}
			cache := auth.NewCache(grant)
			for range 3 { // a token every five minutes must not warn every five minutes
				c, err := cache.Credential(t.Context())
				if err != nil {
					t.Error(err)
				}
				cache.Reject(c)
			}
			warnings := 0
			if test.warned {
				warnings = 1
			}
			if got := strings.Count(log.String(), "a different scope"); got != warnings {
				t.Errorf("got the log %q", log.String())
			}
			grant.RequireScope = true
			_, err := grant.Fetch(t.Context())
			if test.fails {
				wantError(t, err, transport.Denied, "getting a token at "+url, "lacks")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// The scope granted for an assertion is checked like the one granted for a secret.
func TestGrantedScopeOfAnAssertion(t *testing.T) {
	t.Parallel()
	key, err := auth.ParseKey([]byte(jwk(keys().ec)), "")
	if err != nil {
		t.Fatal(err)
	}
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, `{"access_token":"x","scope":"a"}`)
	})
	grant := auth.PrivateKeyJWT{TokenURL: base + "/token", Key: key, Scope: "a b", HTTP: newClient(t)}
	if _, err := grant.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
	grant.RequireScope = true
	_, err = grant.Fetch(t.Context())
	wantError(t, err, transport.Denied, `lacks "b"`)
	grant.TokenURL, grant.Discover = "", base
	_, err = grant.Fetch(t.Context())
	wantError(t, err, transport.NotThere, "looking up the token endpoint")
}

func TestTokenOfOddCharacters(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"access_token":"S3CR3T\r\nX-A: b"}`) })
	_, err := auth.ClientCredentials{TokenURL: url, HTTP: newClient(t)}.Fetch(t.Context())
	wantError(t, err, transport.Broken, "getting a token at "+url, "no HTTP header can carry")
}

func TestGrantsPrintNoSecret(t *testing.T) {
	t.Parallel()
	key, err := auth.ParseKey([]byte(jwk(keys().ec)), "")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := keys().ec.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for want, v := range map[string]any{"[redacted]": auth.Secret(secret), "[key]": key, "[credentials of a user]": auth.NewOneUpUser(auth.OneUpUserOptions{})} {
		if got := fmt.Sprint(v); got != want {
			t.Errorf("a %T prints as %q", v, got)
		}
	}
	private := new(big.Int).SetBytes(raw).String() // as %v would print it
	one := auth.OneUpUserOptions{ClientSecret: secret, Code: secret, RefreshToken: secret}
	for _, v := range []any{
		auth.Secret(secret), auth.ClientCredentials{ClientSecret: secret}, auth.PrivateKeyJWT{Key: key}, key, one,
		auth.NewOneUpUser(one), *auth.NewOneUpUser(one), auth.OneUpHeaders{ClientSecret: secret}, auth.NewCache(auth.ClientCredentials{ClientSecret: secret}),
		auth.NewCache(auth.NewOneUpUser(one)), auth.NewCache(auth.OneUpHeaders{ClientSecret: secret}),
	} {
		texts := []string{}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			texts = append(texts, fmt.Sprintf(verb, v), fmt.Sprintf(verb, []any{v, &v}))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
		data, _ := json.Marshal(v)
		for _, text := range append(texts, log.String(), string(data)) {
			for _, s := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), private} {
				if strings.Contains(text, s) {
					t.Errorf("a %T is told: %.200s", v, text)
				}
			}
		}
	}
}
