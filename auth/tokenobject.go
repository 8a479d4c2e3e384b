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

// Objects stores small objects that change by compare-and-swap, as a sink's state does.
// V is the version of an object; its zero value means that there is no object.
type Objects[V comparable] interface {
	// Load reads an object. If there is none, the error is [fs.ErrNotExist].
	Load(ctx context.Context, key string) ([]byte, V, error)

	// Swap replaces an object that is still at version old. If it fails, the object has
	// either the old content or the new.
	Swap(ctx context.Context, key string, content []byte, old V) (V, error)
}

// TokenObject is a [TokenStore] in an object that several processes may share, each with
// a TokenObject of its own. Create it with [NewTokenObject].
//
// A server that rotates refresh tokens issues each token in exchange for the one before. So a
// token that another process has saved since this one's Load is newer than what this process
// got for the old token: Save leaves it there, and the next Load returns it.
type TokenObject[V comparable] struct {
	objects Objects[V]
	key     string
	user    string // a hash
	version V      // of the object when last seen
	token   Secret // of the object when last seen
	loaded  bool
}

// NewTokenObject returns a store that keeps a token under key. user is everything that
// identifies the token's owner: the token endpoint's URL, the client, the user, and the
// configured code or refresh token. A token of another owner counts as none and is replaced.
// Only a hash of user is stored.
func NewTokenObject[V comparable](objects Objects[V], key, user string) *TokenObject[V] {
	return &TokenObject[V]{objects: objects, key: key, user: fmt.Sprintf("%x", sha256.Sum256([]byte(user)))}
}

// tokenObject is the object's content.
type tokenObject struct {
	Version      int    `json:"version"` // of this format: 1
	User         string `json:"user"`
	RefreshToken string `json:"refresh_token"`
	Nonce        string `json:"nonce"` // makes all contents unique: stores compare them to tell whose write succeeded
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
	var stored tokenObject
	switch {
	case errors.Is(err, fs.ErrNotExist):
		version = none
	case err != nil:
		return err
	case json.Unmarshal(content, &stored) != nil || stored.Version != 1:
		return errors.New("the stored object is not a refresh token, or a newer version of fhirkiln wrote it") // err would quote it
	}
	o.version, o.token, o.loaded = version, "", true
	if stored.User == o.user {
		o.token = Secret(stored.RefreshToken)
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
	const tries = 10 // conflicts happen: each process, when it starts, rewrites the token that it found
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
		case o.token == token && o.version != before: // only the response was lost
			return nil
		case o.token != base && o.token != "": // another process's, and newer
			return nil
		case o.version == before || try == tries:
			return err
		}
	}
}
