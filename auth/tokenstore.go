package auth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TokenStore keeps one refresh token between runs. A server that rotates refresh tokens
// accepts only the last one, so a token lost here is lost for good. Methods are called from
// one goroutine at a time.
type TokenStore interface {
	// Load returns the token saved last, or "" if there is none.
	Load(ctx context.Context) (Secret, error)

	// Save replaces the token. When it returns nil, the new token is durable, or a newer one
	// that another process has saved. If it fails, or the process dies during it, either the
	// old or the new token is there in full.
	Save(ctx context.Context, token Secret) error
}

// TokenFile is the path of a file that serves as a [TokenStore]. It holds the token and a
// newline, and only this user can read it (mode 0600; a missing folder is created with 0700).
type TokenFile string

// Load implements [TokenStore].
func (f TokenFile) Load(context.Context) (Secret, error) {
	data, err := os.ReadFile(string(f))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("reading the refresh token: %w", err)
	}
	return Secret(strings.TrimSpace(string(data))), nil
}

// Save implements [TokenStore].
func (f TokenFile) Save(_ context.Context, token Secret) error {
	if err := f.save(token); err != nil {
		return fmt.Errorf("saving the refresh token: %w", err)
	}
	return nil
}

// save writes a temporary file in the same folder, then renames it: readers see either the
// old token or the new.
func (f TokenFile) save(token Secret) error {
	folder := filepath.Dir(string(f))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(folder, "."+filepath.Base(string(f))+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = temp.WriteString(string(token) + "\n")
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temp.Name(), string(f))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync() // makes the rename durable
}
