package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/auth"
)

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
