package sink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Load reads a small file whole, with its version. If nothing is there, the error is
// [fs.ErrNotExist].
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

// dirVersion is the content's hash: times and inodes come back, so that a file could
// change and look the same.
func dirVersion(content []byte) Version {
	return Version(fmt.Sprintf("%x", sha256.Sum256(content)))
}

// Swap replaces a file's content if the file is still at the version old, "" being
// that of no file, and returns the new version. Otherwise the error wraps [ErrChanged]
// and nothing has changed. If it fails in any other way, the file has the old content
// or the new one: Load tells.
//
// It waits, as long as ctx lasts, while another process swaps the same key. Only those
// who swap a key are told apart: it must not be put, nor removed while others swap it.
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
