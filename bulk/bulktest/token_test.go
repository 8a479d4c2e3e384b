package bulktest_test

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
)

func TestTokenIsGranted(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients(), TokenTTL: 90 * time.Second})
	for _, method := range []string{"GET", "POST"} {
		a := c.request(method, c.server.TokenURL(), tokenForm().Encode(), "Content-Type", form+"; charset=utf-8")
		var got struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresIn   int    `json:"expires_in"`
			Scope       string `json:"scope"`
		}
		a.decode(t, 200, &got)
		if got.TokenType != "Bearer" || got.ExpiresIn != 90 || got.Scope != bulktest.DefaultScope {
			t.Errorf("%s: %+v", method, got)
		}
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: header %v", method, a.header)
		}
		c.token = got.AccessToken
		c.kickOff("/$export", "")
	}
}

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{})
	with := func(name string, values ...string) string {
		f := tokenForm()
		f[name] = values
		return f.Encode()
	}
	for _, test := range []struct {
		name, body, contentType string
		status                  int
		code                    string
	}{
		{"no grant", with("grant_type"), form, 400, "invalid_request"},
		{"empty grant", with("grant_type", ""), form, 400, "invalid_request"},
		{"other grant", with("grant_type", "authorization_code"), form, 400, "unsupported_grant_type"},
		{"no client", with("client_id"), form, 401, "invalid_client"},
		{"other client", with("client_id", "x"), form, 401, "invalid_client"},
		{"no secret", with("client_secret"), form, 401, "invalid_client"},
		{"other secret", with("client_secret", "x"), form, 401, "invalid_client"},
		{"no scope", with("scope"), form, 400, "invalid_scope"},
		{"other scope", with("scope", "system/*.rs"), form, 400, "invalid_scope"},
		{"twice", with("scope", bulktest.DefaultScope, "x"), form, 400, "invalid_request"},
		{"no form", `{"grant_type":"client_credentials"}`, "application/json", 400, "invalid_request"},
		{"no content type", tokenForm().Encode(), "", 400, "invalid_request"},
		{"malformed", "grant_type=%zz", form, 400, "invalid_request"},
	} {
		for _, method := range []string{"GET", "POST"} {
			a := c.request(method, c.server.TokenURL(), test.body, "Content-Type", test.contentType)
			var got struct {
				Error string `json:"error"`
			}
			if err := json.Unmarshal(a.body, &got); err != nil || a.status != test.status || got.Error != test.code {
				t.Errorf("%s %s: %d %s (%v), want %d %s", method, test.name, a.status, a.body, err, test.status, test.code)
			}
			if a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: may be stored", method, test.name)
			}
		}
	}
	// Credentials in the URL are ignored; for those in the header, the answer names the scheme.
	a := c.request("POST", c.server.TokenURL()+"?"+tokenForm().Encode(), "", "Content-Type", form)
	if a.status != 400 {
		t.Errorf("parameters in the URL: %d", a.status)
	}
	a = c.request("POST", c.server.TokenURL(), with("client_secret"), "Content-Type", form, "Authorization", "Basic eDp5")
	if a.status != 401 || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("basic authentication: %d %v", a.status, a.header)
	}
	c.request("PUT", c.server.TokenURL(), "").want(t, 405)
}

func TestTokenIsWanted(t *testing.T) {
	t.Parallel()
	clock := newClock()
	c := start(t, bulktest.Options{Data: twoPatients(), Now: clock.Now, TokenTTL: time.Minute})
	status := c.kickOff("/$export", "")
	file := c.manifest(status).Output[0].URL
	good := c.token

	refused := func(why string) {
		t.Helper()
		for _, a := range []answer{
			c.tryKickOff("/$export", ""),
			c.get(status),
			c.get(file),
			c.request("DELETE", status, "", "Authorization", "Bearer "+c.token),
		} {
			a.want(t, 401)
			if a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no WWW-Authenticate", why)
			}
		}
	}
	c.token = "made up"
	refused("made up")
	c.token = good
	c.request("GET", file, "").want(t, 401)
	c.request("GET", file, "", "Authorization", "Basic "+good).want(t, 401)

	clock.advance(time.Minute - 1)
	c.get(file).want(t, 200)
	clock.advance(1)
	refused("expired")

	c.token = c.newToken()
	c.get(file).want(t, 200)
	c.server.ExpireTokens()
	refused("revoked")
}

func TestOwnCredentials(t *testing.T) {
	t.Parallel()
	server, err := bulktest.NewServer(bulktest.Options{ClientID: "a", ClientSecret: "b", Scope: "c d"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c := &client{t: t, server: server, http: start(t, bulktest.Options{}).http}
	body := url.Values{"grant_type": {"client_credentials"}, "client_id": {"a"}, "client_secret": {"b"}, "scope": {"c d"}}.Encode()
	c.request("POST", server.TokenURL(), body, "Content-Type", form).want(t, 200)

	got := server.Requests()
	if len(got) != 1 {
		t.Fatalf("%d requests", len(got))
	}
	if diff := cmp.Diff(body, string(got[0].Body)); diff != "" {
		t.Error(diff)
	}
}
