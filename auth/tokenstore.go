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

// TokenStore keeps one refresh token from run to run. A server that rotates refresh
// tokens takes the last one only, so what is lost here is lost. Methods are called from
// one goroutine at a time.
type TokenStore interface {
	// Load returns the token saved last, "" if there is none.
	Load(ctx context.Context) (Secret, error)

	// Save replaces the token. When it returns nil the new one is durable, or a newer one
	// that another process has saved; when it fails, or the process dies in it, the old or
	// the new one is there, whole.
	Save(ctx context.Context, token Secret) error
}

// TokenFile is a [TokenStore] in a file of its own, which holds the token and a newline
// and which only this user can read (0600; a folder that is missing is made, 0700).
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

// save writes beside the file, then renames: whoever reads sees the old or the new.
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
	return dir.Sync() // the rename is durable only then
}
