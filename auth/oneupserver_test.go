package auth_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"fhirkiln/auth"
)

// oneUp is 1upHealth's user management: codes and refresh tokens can be used once.
type oneUp struct {
	names   auth.OneUpNames // all filled
	url     string
	mu      sync.Mutex
	made    int
	good    map[string]bool // codes and refresh tokens
	asked   []string
	down    int  // how many token requests use up the token and answer 503
	forgets bool // responses have no refresh token
}

func newOneUp(t *testing.T) *oneUp {
	t.Helper()
	s := &oneUp{good: map[string]bool{}, names: auth.OneUpNames{
		User: "app_user_id", CodeSecret: "client_secret", TokenSecret: "client_secret", CodeGrant: "authorization_code", RefreshGrant: "refresh_token"}}
	s.url = serve(t, s.ServeHTTP)
	return s
}

func (s *oneUp) make(kind string) string {
	s.made++
	token := fmt.Sprintf("S3CR3T-%s-%d", kind, s.made)
	s.good[token] = true
	return token
}

func (s *oneUp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.ParseForm()
	f := r.PostForm
	w.Header().Set("Content-Type", "application/json")
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":%q,"error_description":"not %s"}`, code, strings.ReplaceAll(f.Encode(), `"`, ``))
	}
	secretName := map[string]string{"/code": s.names.CodeSecret, "/token": s.names.TokenSecret}[r.URL.Path]
	if r.Method != "POST" || f.Get("client_id") != "id" || len(f[secretName]) != 1 || f.Get(secretName) != secret || r.URL.RawQuery != "" {
		refuse(401, "invalid_client")
		return
	}
	if r.URL.Path == "/code" {
		s.asked = append(s.asked, "code")
		if len(f) != 3 || f.Get(s.names.User) != "user-7" {
			refuse(400, "invalid_user")
			return
		}
		fmt.Fprintf(w, `{"success":true,"code":%q,"oneup_user_id":7,"active":true}`, s.make("code"))
		return
	}
	grant := f.Get("grant_type")
	given := f.Get(map[string]string{s.names.CodeGrant: "code", s.names.RefreshGrant: "refresh_token"}[grant])
	s.asked = append(s.asked, grant)
	if len(f) != 4 || !s.good[given] {
		refuse(400, "invalid_grant")
		return
	}
	delete(s.good, given)
	if s.down > 0 {
		s.down--
		w.WriteHeader(503)
		return
	}
	refresh := ""
	if !s.forgets {
		refresh = fmt.Sprintf(`,"refresh_token":%q`, s.make("refresh"))
	}
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"bearer","expires_in":7200%s}`, s.make("access"), refresh)
}

// options are for user-7, with a log that must hold no secret.
func (s *oneUp) options(t *testing.T) auth.OneUpUserOptions {
	t.Helper()
	var log bytes.Buffer
	t.Cleanup(func() {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log tells a secret:\n%s", log.String())
		}
	})
	return auth.OneUpUserOptions{CodeURL: s.url + "/code", TokenURL: s.url + "/token", ClientID: "id", ClientSecret: secret, AppUserID: "user-7",
		HTTP: newClient(t), Retry: quick, Log: slog.New(slog.NewTextHandler(&log, nil))}
}

// fetch fetches a token, and returns the requests that it took.
func (s *oneUp) fetch(t *testing.T, f auth.Fetcher) []string {
	t.Helper()
	s.mu.Lock()
	s.asked = nil
	s.mu.Unlock()
	c, err := f.Fetch(t.Context())
	if err != nil || !strings.HasPrefix(authorization(c), "Bearer S3CR3T-access-") {
		t.Fatalf("got %v, %v", authorization(c), err)
	}
	return s.asked
}

const codeGrant, refreshGrant = "authorization_code", "refresh_token"

func wantAsked(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
}
