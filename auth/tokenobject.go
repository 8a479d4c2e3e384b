package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// Objects keeps small objects that are changed by compare and swap, as a sink's state
// does. V is an object's version, and its zero that of none.
type Objects[V comparable] interface {
	// Load reads an object; if there is none, the error is [fs.ErrNotExist].
	Load(ctx context.Context, key string) ([]byte, V, error)

	// Swap replaces an object that is still at the version old. If it fails, the object has
	// the old content or the new one.
	Swap(ctx context.Context, key string, content []byte, old V) (V, error)
}

// TokenObject is a [TokenStore] in an object that several processes may have, each with
// a TokenObject of its own. Make it with [NewTokenObject].
//
// A server that rotates refresh tokens gives the next one for the last, so that a token
// which another process has saved since this one's Load is newer than what came of the
// one before: Save leaves it there, and the next Load returns it.
type TokenObject[V comparable] struct {
	objects Objects[V]
	key     string
	user    string
	version V      // of the object as it was seen last
	token   Secret // in it
	loaded  bool
}

// NewTokenObject keeps a token under key. user is all that says whose it is: URL of the
// token endpoint, client, user, code or refresh token that were given. A token of
// another one counts as none and is replaced. Of user, a hash is kept.
func NewTokenObject[V comparable](objects Objects[V], key, user string) *TokenObject[V] {
	return &TokenObject[V]{objects: objects, key: key, user: fmt.Sprintf("%x", sha256.Sum256([]byte(user)))}
}

// tokenObject is the object's content.
type tokenObject struct {
	Version      int    `json:"version"` // of this format: 1
	User         string `json:"user"`
	RefreshToken string `json:"refresh_token"`
	Nonce        string `json:"nonce"` // so that no two contents are equal, by which stores tell who wrote them
}

// Load implements [TokenStore].
func (o *TokenObject[V]) Load(ctx context.Context) (Secret, error) {
	if err := o.load(ctx); err != nil {
		return "", fmt.Errorf("reading the refresh token: %w", err)
	}
	return o.token, nil
}

func (o *TokenObject[V]) load(ctx context.Context) error {
	content, version, err := o.objects.Load(ctx, o.key)
	var none V
	var is tokenObject
	switch {
	case errors.Is(err, fs.ErrNotExist):
		version = none
	case err != nil:
		return err
	case json.Unmarshal(content, &is) != nil || is.Version != 1:
		return errors.New("what is kept is none, or of a newer version of fhirkiln") // err would quote it
	}
	o.version, o.token, o.loaded = version, "", true
	if is.User == o.user {
		o.token = Secret(is.RefreshToken)
	}
	return nil
}

// Save implements [TokenStore].
func (o *TokenObject[V]) Save(ctx context.Context, token Secret) error {
	if err := o.save(ctx, token); err != nil {
		return fmt.Errorf("saving the refresh token: %w", err)
	}
	return nil
}

func (o *TokenObject[V]) save(ctx context.Context, token Secret) error {
	if !o.loaded {
		if err := o.load(ctx); err != nil {
			return err
		}
	}
	content, err := json.Marshal(tokenObject{Version: 1, User: o.user, RefreshToken: string(token), Nonce: rand.Text()})
	if err != nil {
		return err
	}
	const tries = 10 // a process that begins writes the token that it found, to see that it can
	for try := 1; ; try++ {
		version, err := o.objects.Swap(ctx, o.key, content, o.version)
		if err == nil {
			o.version, o.token = version, token
			return nil
		}
		before, base := o.version, o.token
		if failed := o.load(ctx); failed != nil {
			return err
		}
		switch {
		case o.token == token && o.version != before: // only the answer was lost
			return nil
		case o.token != base && o.token != "": // another process's, and newer
			return nil
		case o.version == before || try == tries:
			return err
		}
	}
}
