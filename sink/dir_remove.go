package sink

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"path"
	"strings"
	"time"
)

// Abort throws a staged part away, and removes it if it was published; another file
// at its key stays. Aborting it again does nothing.
func (d *Dir) Abort(ctx context.Context, r Receipt) error {
	if err := check(ctx, r.Key); err != nil {
		return err
	}
	if err := d.remove(d.stagedName(r.Key)); err != nil {
		return err
	}
	return d.removeIf(r.Key, func(there fs.FileInfo) bool { return isPart(there, r.Size) })
}

// Discard throws away whatever any process has staged under key, with or without a
// receipt, and removes what is published there: for a key that a dead run has noted
// before it staged anything. Discarding it again does nothing. Nobody may still be
// writing a part for that key.
func (d *Dir) Discard(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	if err := d.remove(d.stagedName(key)); err != nil {
		return err
	}
	return d.removeIf(key, func(there fs.FileInfo) bool { return there.Mode().IsRegular() })
}

// Remove removes a file that was published or put. If it is not there, it does
// nothing.
func (d *Dir) Remove(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	return d.removeIf(key, func(there fs.FileInfo) bool { return there.Mode().IsRegular() })
}

func (d *Dir) removeIf(key string, want func(there fs.FileInfo) bool) error {
	there, err := d.root.Lstat(key)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return d.failed("removing a part", key, err)
	case err == nil && !want(there):
		return nil
	}
	return d.remove(key)
}

// remove removes a file, if it is there, and the folders that it leaves empty.
func (d *Dir) remove(name string) error {
	err := d.root.Remove(name)
	if err == nil {
		// A file that a gc has removed must not be back after a power cut.
		err = d.sync(path.Dir(name))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.failed("removing a part", name, err)
	}
	d.prune(path.Dir(name))
	return nil
}

// Staged calls each for what is staged under keys that start with prefix, finished or
// not, in any order, with when it was last written to: for finding what dead runs have
// left of which no ledger knows. Keys of more than about 200 bytes are passed over. An
// error of each ends it and is returned.
func (d *Dir) Staged(ctx context.Context, prefix string, each func(key string, at time.Time) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	entries, err := fs.ReadDir(d.root.FS(), stagingDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.failed("listing staged parts", stagingDir, err)
	}
	for _, e := range entries {
		key, ok := d.stagedKey(e.Name())
		if !ok || !strings.HasPrefix(key, prefix) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was published or aborted just now
		}
		if err != nil {
			return d.failed("listing staged parts", stagingDir, err)
		}
		if err := each(key, info.ModTime()); err != nil {
			return err
		}
	}
	return nil
}

// stagedKey is the key whose stagedName is in the staging folder, false if it cannot be
// told.
func (d *Dir) stagedKey(name string) (string, bool) {
	escaped, ok := strings.CutSuffix(name, stagedSuffix)
	end := strings.LastIndexByte(escaped, '-')
	if !ok || end < 0 {
		return "", false
	}
	key, err := url.PathUnescape(escaped[:end])
	return key, err == nil && fs.ValidPath(key) && d.stagedName(key) == stagingDir+"/"+name
}
