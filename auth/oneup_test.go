package auth_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"fhirkiln/auth"
	"fhirkiln/transport"
)

// A token endpoint that does not answer is an outage, not a bug.
func TestOneUpUserTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		user := auth.NewOneUpUser(auth.OneUpUserOptions{TokenURL: "https://h.example/token", ClientID: "id", ClientSecret: secret, RefreshToken: "S3CR3T-refresh",
			HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})}})
		_, err := user.Fetch(t.Context())
		wantError(t, err, transport.Unavailable, "getting a token by refresh_token at https://h.example/token", "no response within 30s")
	})
}

func TestOneUpUser(t *testing.T) {
	t.Parallel()
	s := newOneUp(t)
	file := auth.TokenFile(filepath.Join(t.TempDir(), "state", "refresh"))
	o := s.options(t)
	o.Store = file
	user := auth.NewOneUpUser(o)
	wantAsked(t, s.fetch(t, user), "code", codeGrant)
	wantAsked(t, s.fetch(t, user), refreshGrant)
	wantAsked(t, s.fetch(t, user), refreshGrant)
	// The next run continues where this one stopped.
	o.AppUserID = ""
	wantAsked(t, s.fetch(t, auth.NewOneUpUser(o)), refreshGrant)
	stored, err := file.Load(t.Context())
	if err != nil || !s.good[string(stored)] {
		t.Errorf("the store holds no good token: %v", err)
	}
	// Another process has used the token and saved the next.
	other := auth.NewOneUpUser(o)
	s.fetch(t, other)
	wantAsked(t, s.fetch(t, user), refreshGrant)
	wantAsked(t, s.fetch(t, other), refreshGrant)
}

func TestOneUpUserWithoutStore(t *testing.T) {
	t.Parallel()
	s := newOneUp(t)
	user := auth.NewOneUpUser(s.options(t))
	wantAsked(t, s.fetch(t, user), "code", codeGrant)
	wantAsked(t, s.fetch(t, user), refreshGrant)
	s.forgets = true // a server that does not rotate, or issues none
	wantAsked(t, s.fetch(t, user), refreshGrant)
	wantAsked(t, s.fetch(t, user), refreshGrant, "code", codeGrant)
}

func TestOneUpUserWithGivenTokens(t *testing.T) {
	t.Parallel()
	t.Run("code", func(t *testing.T) {
		t.Parallel()
		s := newOneUp(t)
		o := s.options(t)
		o.AppUserID, o.Code = "", auth.Secret(s.make("code"))
		user := auth.NewOneUpUser(o)
		wantAsked(t, s.fetch(t, user), codeGrant)
		wantAsked(t, s.fetch(t, user), refreshGrant)
		clear(s.good)
		_, err := user.Fetch(t.Context())
		wantError(t, err, transport.Denied, "getting a token by refresh_token", "invalid_grant")
		wantAsked(t, s.asked, refreshGrant, refreshGrant) // and the code, which works once, is not sent again
	})
	t.Run("refresh token, after a bad stored one", func(t *testing.T) {
		t.Parallel()
		s := newOneUp(t)
		o := s.options(t)
		o.Store = auth.TokenFile(filepath.Join(t.TempDir(), "refresh"))
		if err := o.Store.Save(t.Context(), "S3CR3T-old"); err != nil {
			t.Fatal(err)
		}
		o.AppUserID, o.RefreshToken = "", auth.Secret(s.make("refresh"))
		user := auth.NewOneUpUser(o)
		wantAsked(t, s.fetch(t, user), refreshGrant, refreshGrant)
		wantAsked(t, s.fetch(t, user), refreshGrant)
	})
	t.Run("all used up", func(t *testing.T) {
		t.Parallel()
		s := newOneUp(t)
		o := s.options(t)
		o.AppUserID, o.Code, o.RefreshToken = "", "S3CR3T-code", "S3CR3T-refresh"
		cache := auth.NewCache(auth.NewOneUpUser(o))
		for range 3 {
			_, err := cache.Credential(t.Context())
			if e := wantError(t, err, transport.Denied, "getting a token by code", "invalid_grant"); !strings.Contains(e.Hint, "app_user_id") {
				t.Errorf("the hint is %q", e.Hint)
			}
		}
		wantAsked(t, s.asked, refreshGrant, codeGrant)
	})
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		s := newOneUp(t)
		o := s.options(t)
		o.AppUserID = ""
		_, err := auth.NewOneUpUser(o).Fetch(t.Context())
		wantError(t, err, transport.Denied, "no refresh token")
	})
}

// The server used up the refresh token, and its response was lost.
func TestOneUpUserLosesAnAnswer(t *testing.T) {
	t.Parallel()
	s := newOneUp(t)
	user := auth.NewOneUpUser(s.options(t))
	s.fetch(t, user)
	s.down = 1
	wantAsked(t, s.fetch(t, user), refreshGrant, refreshGrant, "code", codeGrant)
}

func TestOneUpUserByOtherNames(t *testing.T) {
	t.Parallel()
	s := newOneUp(t)
	s.names = auth.OneUpNames{User: "oneup_user_id", CodeSecret: "secret", TokenSecret: "key", CodeGrant: "token", RefreshGrant: "refresh"}
	o := s.options(t)
	o.Names = s.names
	user := auth.NewOneUpUser(o)
	wantAsked(t, s.fetch(t, user), "code", "token")
	wantAsked(t, s.fetch(t, user), "refresh")

	// Even if the names are not the server's, the refusal quotes no secret.
	o.Names = auth.OneUpNames{}
	_, err := auth.NewOneUpUser(o).Fetch(t.Context())
	wantError(t, err, transport.Denied, "getting a user's code", "client_secret=[redacted]")
}

func TestOneUpUserWithoutCode(t *testing.T) {
	t.Parallel()
	s := newOneUp(t)
	o := s.options(t)
	o.CodeURL = serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"success":true}`) })
	_, err := auth.NewOneUpUser(o).Fetch(t.Context())
	wantError(t, err, transport.NotThere, "contains no code")
	o = s.options(t)
	o.AppUserID = "nobody"
	_, err = auth.NewOneUpUser(o).Fetch(t.Context())
	wantError(t, err, transport.Denied, "invalid_user")
}

func TestOneUpHeaders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		headers auth.OneUpHeaders
		name    string
		value   string
		getOnly bool
	}{
		{auth.OneUpHeaders{OneUpUserID: "client"}, "X-Oneup-User-Id", "client", true},
		{auth.OneUpHeaders{OneUpUserID: "1234"}, "X-Oneup-User-Id", "1234", false},
		{auth.OneUpHeaders{AppUserID: "client"}, "X-App-User-Id", "client", false},
	} {
		test.headers.ClientID, test.headers.ClientSecret = "id", secret
		c, err := auth.NewCache(test.headers).Credential(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.GETOnly() != test.getOnly || auth.Bearer("x").GETOnly() {
			t.Errorf("%s %s: GETOnly is %v", test.name, test.value, c.GETOnly())
		}
		var got http.Header
		elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
		var first http.Header
		here := serve(t, func(w http.ResponseWriter, r *http.Request) {
			first = r.Header
			http.Redirect(w, r, elsewhere, http.StatusFound)
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, here, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Apply(req.Header)
		resp, err := newClient(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if first.Get("client_id") != "id" || first.Get("client_secret") != secret || first.Get(test.name) != test.value || first.Get("Authorization") != "" {
			t.Errorf("sent %v", first)
		}
		for name, values := range got {
			if strings.HasPrefix(strings.ToLower(name), "client_") || strings.HasPrefix(name, "X-") || strings.Contains(fmt.Sprint(values), secret) {
				t.Errorf("%s went to another host", name)
			}
		}
		if got == nil {
			t.Error("the redirect was not followed")
		}
	}
}
