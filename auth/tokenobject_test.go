package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"fhirkiln/auth"
	"fhirkiln/transport"
)

// objects is an in-memory store whose versions are numbers.
type objects struct {
	mu      sync.Mutex
	content map[string][]byte
	version int
	before  func(call string) error // runs before each call
	after   func(call string) error // runs after each call; its error replaces the result
}

func (o *objects) Load(_ context.Context, key string) ([]byte, int, error) {
	if o.before != nil {
		if err := o.before("load"); err != nil {
			return nil, 0, err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	content, ok := o.content[key]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return content, o.version, nil
}

func (o *objects) Swap(_ context.Context, key string, content []byte, old int) (int, error) {
	if o.before != nil {
		if err := o.before("swap"); err != nil {
			return 0, err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if old != o.version {
		return 0, errors.New("it has changed")
	}
	if o.content == nil {
		o.content = map[string][]byte{}
	}
	o.content[key] = content
	o.version++
	if o.after != nil {
		if err := o.after("swap"); err != nil {
			return 0, err
		}
	}
	return o.version, nil
}

func (o *objects) of(user string) *auth.TokenObject[int] { return auth.NewTokenObject(o, "k", user) }

func wantToken(t *testing.T, s auth.TokenStore, want auth.Secret) {
	t.Helper()
	if got, err := s.Load(t.Context()); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", string(got), err, string(want))
	}
}

func save(t *testing.T, s auth.TokenStore, token auth.Secret) {
	t.Helper()
	if err := s.Save(t.Context(), token); err != nil {
		t.Fatal(err)
	}
}

func TestTokenObject(t *testing.T) {
	t.Parallel()
	o := &objects{}
	s := o.of("me")
	wantToken(t, s, "")
	save(t, s, "")
	save(t, s, "one")
	before := string(o.content["k"])
	if save(t, s, "one"); string(o.content["k"]) == before {
		t.Error("stores want no content twice")
	}
	save(t, s, "two")
	wantToken(t, s, "two")
	wantToken(t, o.of("me"), "two")

	// Another owner's token counts as none, and is replaced.
	wantToken(t, o.of("you"), "")
	save(t, o.of("you"), "three")
	wantToken(t, o.of("you"), "three")
	wantToken(t, o.of("me"), "")
	if text := string(o.content["k"]); strings.Contains(text, "you") || strings.Contains(text, "me\"") {
		t.Errorf("it tells the user: %s", text)
	}

	for name, content := range map[string]string{"no JSON": "S3CR3T", "cut": `{"version":1,"user":"S3CR3T`, "of a newer version": `{"version":2,"user":"S3CR3T"}`} {
		o.content["k"] = []byte(content)
		_, err := o.of("me").Load(t.Context())
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
		if err := o.of("me").Save(t.Context(), "four"); err == nil || string(o.content["k"]) != content {
			t.Errorf("%s: it was replaced, %v", name, err)
		}
	}
}

func TestTokenObjectOfTwoProcesses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		other auth.Secret // what the other process saves after this one's Load of "one"
		want  auth.Secret // what is there when this one has saved "two"
	}{
		{"the other found it, and has only written it again", "one", "two"},
		{"the other has a newer one", "three", "three"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := &objects{}
			save(t, o.of("me"), "one")
			s := o.of("me")
			wantToken(t, s, "one")
			save(t, o.of("me"), test.other)
			save(t, s, "two")
			wantToken(t, s, test.want)
		})
	}
}

func TestTokenObjectOfABadStore(t *testing.T) {
	t.Parallel()
	broken := errors.New("the store is away")
	t.Run("an answer is lost", func(t *testing.T) {
		t.Parallel()
		o := &objects{}
		s := o.of("me")
		save(t, s, "one")
		o.after = func(string) error { return broken }
		save(t, s, "two")
		o.after = nil
		wantToken(t, s, "two")
		save(t, s, "three")
	})
	t.Run("an answer is lost, of the same token", func(t *testing.T) {
		t.Parallel()
		o := &objects{}
		s := o.of("me")
		save(t, s, "one")
		o.after = func(string) error { return broken }
		save(t, s, "one")
	})
	t.Run("it cannot be written any more", func(t *testing.T) { // saving the same token must reveal it
		t.Parallel()
		o := &objects{}
		s := o.of("me")
		save(t, s, "one")
		swaps := 0
		o.before = func(call string) error {
			if call == "load" {
				return nil
			}
			swaps++
			return broken
		}
		if err := s.Save(t.Context(), "one"); !errors.Is(err, broken) || swaps != 1 {
			t.Errorf("got %v after %d swaps", err, swaps)
		}
	})
	t.Run("it changes again and again", func(t *testing.T) {
		t.Parallel()
		o := &objects{}
		s := o.of("me")
		save(t, s, "one")
		swaps := 0
		o.before = func(call string) error {
			if call == "swap" {
				swaps++
				o.version++ // the same token
			}
			return nil
		}
		if err := s.Save(t.Context(), "two"); err == nil || swaps != 10 {
			t.Errorf("got %v after %d swaps", err, swaps)
		}
	})
	t.Run("it is somebody else's by now", func(t *testing.T) {
		t.Parallel()
		o := &objects{}
		s := o.of("me")
		save(t, s, "one")
		save(t, o.of("you"), "three")
		save(t, s, "two")
		wantToken(t, s, "two")
	})
	for _, call := range []string{"load", "swap"} {
		t.Run("no "+call, func(t *testing.T) {
			t.Parallel()
			o := &objects{before: func(is string) error {
				if is == call {
					return broken
				}
				return nil
			}}
			if err := o.of("me").Save(t.Context(), secret); !errors.Is(err, broken) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Processes that share a store and use up each other's tokens all get in.
func TestOneUpUsersShareAToken(t *testing.T) {
	t.Parallel()
	server := newOneUp(t)
	o := &objects{}
	first := server.options(t)
	first.AppUserID, first.Code, first.Store = "", auth.Secret(server.make("code")), o.of("me")
	server.fetch(t, auth.NewOneUpUser(first))
	options := server.options(t)
	options.AppUserID = ""

	// One reads the token, and another uses it up first.
	var once sync.Once
	options.Store = meanwhile{o.of("me"), func() {
		once.Do(func() {
			other := options
			other.Store = o.of("me")
			if _, err := auth.NewOneUpUser(other).Fetch(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}}
	wantAsked(t, server.fetch(t, auth.NewOneUpUser(options)), refreshGrant, refreshGrant, refreshGrant)
	token, err := o.of("me").Load(t.Context())
	if err != nil || !server.good[string(token)] {
		t.Errorf("the store holds no good token: %v", err)
	}

	// If every token is bad, the retries end.
	save(t, o.of("me"), "S3CR3T-bad")
	options.Store = o.of("me")
	_, err = auth.NewOneUpUser(options).Fetch(t.Context())
	wantError(t, err, transport.Denied, "invalid_grant")
	n := 0
	options.Store = meanwhile{o.of("me"), func() { n++; save(t, o.of("me"), auth.Secret(fmt.Sprint(secret, n))) }}
	_, err = auth.NewOneUpUser(options).Fetch(t.Context())
	wantError(t, err, transport.Denied, "invalid_grant")
	if n > 20 {
		t.Errorf("it was tried %d times", n)
	}
}

// meanwhile does something after each Save.
type meanwhile struct {
	auth.TokenStore
	do func()
}

func (m meanwhile) Save(ctx context.Context, token auth.Secret) error {
	err := m.TokenStore.Save(ctx, token)
	m.do()
	return err
}
