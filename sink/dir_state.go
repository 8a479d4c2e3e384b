package sink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Load reads a small file whole and returns it with its version. If the file does not
// exist, the error wraps [fs.ErrNotExist].
func (d *Dir) Load(ctx context.Context, key string) ([]byte, Version, error) {
	f, err := d.Open(ctx, key)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	content, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return nil, "", d.failed("reading a file", key, err)
	}
	return content, dirVersion(content), nil
}

// dirVersion hashes the content: modification times and inode numbers can recur, so by them
// a changed file could look the same.
func dirVersion(content []byte) Version {
	return Version(fmt.Sprintf("%x", sha256.Sum256(content)))
}

// Swap replaces a file's content if the file is still at version old, and returns the new
// version. An old of "" means that the file does not exist. If the version differs, the
// error wraps [ErrChanged] and nothing has changed. After any other failure the file has
// the old content or the new one: Load tells which.
//
// Swap waits until ctx ends while another process swaps the same key. It is atomic only
// among Swaps: a swapped key must never be written by Put, nor removed while others swap it.
func (d *Dir) Swap(ctx context.Context, key string, content []byte, old Version) (Version, error) {
	if err := check(ctx, key); err != nil {
		return "", err
	}
	const doing = "changing a file"
	unlock, err := d.waitLock(ctx, lockName(key, ".swap"))
	if err != nil {
		return "", d.failed(doing, key, err)
	}
	defer unlock()
	_, now, err := d.Load(ctx, key)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", err
	case now != old:
		return "", d.failed(doing, key, ErrChanged)
	}
	if err := d.put(key, content); err != nil {
		return "", d.failed(doing, key, err)
	}
	return dirVersion(content), nil
}
