package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/auth"
	"fhirkiln/transport"
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

// badStore fails from the nth save on.
type badStore struct {
	n    int
	last auth.Secret
}

func (s *badStore) Load(context.Context) (auth.Secret, error) { return s.last, nil }

func (s *badStore) Save(_ context.Context, token auth.Secret) error {
	if s.n--; s.n < 0 {
		return errors.New("disk full")
	}
	s.last = token
	return nil
}

// silentStore answers only the first save.
type silentStore struct {
	badStore
	saving chan struct{}
}

func (s *silentStore) Save(ctx context.Context, token auth.Secret) error {
	if s.n--; s.n >= 0 {
		return nil
	}
	close(s.saving)
	<-ctx.Done()
	return context.Cause(ctx)
}

// A refresh token is saved even if the run is told to stop, but then the wait for a silent
// store is bounded.
func TestOneUpUserBoundsSaving(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &silentStore{badStore{n: 1}, make(chan struct{})}
		user := auth.NewOneUpUser(auth.OneUpUserOptions{TokenURL: "https://h.example/token", ClientID: "id", ClientSecret: secret, RefreshToken: "S3CR3T-refresh",
			Store: store, HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
					Body: io.NopCloser(strings.NewReader(`{"access_token":"S3CR3T-a","token_type":"bearer","refresh_token":"S3CR3T-next"}`))}, nil
			})}})
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		var ended time.Time
		go func() {
			<-store.saving
			time.Sleep(time.Hour) // until ctx ends, the wait for the store is unbounded
			ended = time.Now()
			cancel(why)
		}()
		_, err := user.Fetch(ctx)
		if took := time.Since(ended); ended.IsZero() || took != 30*time.Second || !errors.Is(err, why) {
			t.Errorf("%v after ctx has ended: %v", took, err)
		}
	})
}

// Nothing is spent before the store has shown that it can be written.
func TestOneUpUserTriesTheStoreFirst(t *testing.T) {
	t.Parallel()
	s := newOneUp(t)
	o := s.options(t)
	o.Store = &badStore{}
	if _, err := auth.NewOneUpUser(o).Fetch(t.Context()); err == nil || err.Error() != "disk full" || len(s.asked) != 0 {
		t.Errorf("got %v, after %v", err, s.asked)
	}
	// Later failures end the run only if the next run could not do without the token.
	o.Store = &badStore{n: 1}
	user := auth.NewOneUpUser(o)
	wantAsked(t, s.fetch(t, user), "code", codeGrant)
	wantAsked(t, s.fetch(t, user), refreshGrant)
	// What the store then holds is spent, and servers may punish its use.
	o.Store = &badStore{n: 2}
	user = auth.NewOneUpUser(o)
	wantAsked(t, s.fetch(t, user), "code", codeGrant)
	wantAsked(t, s.fetch(t, user), refreshGrant)
	wantAsked(t, s.fetch(t, user), refreshGrant)
	o.Store, o.AppUserID, o.Code = &badStore{n: 1}, "", auth.Secret(s.make("code"))
	if _, err := auth.NewOneUpUser(o).Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "disk full") || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := auth.TokenFile(filepath.Join(dir, "a", "b", "refresh"))
	if got, err := file.Load(t.Context()); got != "" || err != nil {
		t.Errorf("got %q, %v", string(got), err)
	}
	for _, token := range []auth.Secret{"one", "two"} {
		if err := file.Save(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if got, err := file.Load(t.Context()); got != token || err != nil {
			t.Errorf("got %q, %v", string(got), err)
		}
	}
	for path, want := range map[string]os.FileMode{string(file): 0o600, filepath.Dir(string(file)): 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s is %v, want %v", path, info.Mode(), want)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(string(file))); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	// A folder stands where the file should.
	if err := auth.TokenFile(dir).Save(t.Context(), secret); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
	if _, err := auth.TokenFile(dir).Load(t.Context()); err == nil {
		t.Error("a folder is no token")
	}
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
