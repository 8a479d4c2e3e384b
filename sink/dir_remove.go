package sink

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// Abort discards a staged part, and removes it if it was published. A different file at its
// key stays. Aborting a part again does nothing.
func (d *Dir) Abort(ctx context.Context, r Receipt) error {
	if err := check(ctx, r.Key); err != nil {
		return err
	}
	if err := d.remove(d.stagedName(r.Key)); err != nil {
		return err
	}
	return d.removeIf(r.Key, func(there fs.FileInfo) bool { return isPart(there, r.Size) })
}

// Discard discards whatever any process has staged under key, with or without a receipt,
// and removes what is published there. It is for keys that a dead run recorded before it
// staged anything. Discarding a key again does nothing. Nobody may still be writing a part
// for that key.
func (d *Dir) Discard(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	if err := d.remove(d.stagedName(key)); err != nil {
		return err
	}
	return d.removeIf(key, func(there fs.FileInfo) bool { return there.Mode().IsRegular() })
}

// Remove removes published parts and files written by Put, in order. A missing file is not
// an error.
//
// After a power cut during Remove, the removed files are a prefix of keys only on file
// systems that keep the order of operations, as journaling ones do.
func (d *Dir) Remove(ctx context.Context, keys ...string) error {
	var folders []string // those that lost files, without duplicates
	err := d.unlink(ctx, keys, func(folder string) {
		if !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	})
	for _, folder := range folders {
		err = errors.Join(err, d.removedFrom(folder))
	}
	return err
}

// unlink removes files without syncing their folders. It calls removed with the folder of
// each removed file.
func (d *Dir) unlink(ctx context.Context, keys []string, removed func(folder string)) error {
	for _, key := range keys {
		if err := check(ctx, key); err != nil {
			return err
		}
		there, err := d.root.Lstat(key)
		if err == nil && there.Mode().IsRegular() {
			if err = d.root.Remove(key); err == nil {
				removed(path.Dir(key))
			}
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			d.prune(path.Dir(key)) // a killed process may not have gotten to it
		case err != nil:
			return d.failed("removing a file", key, err)
		}
	}
	return nil
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

// remove removes a file, if it exists, and the folders that this leaves empty.
func (d *Dir) remove(name string) error {
	err := d.root.Remove(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.prune(path.Dir(name))
		return nil
	case err != nil:
		return d.failed("removing a part", name, err)
	}
	return d.removedFrom(path.Dir(name))
}

// removedFrom makes removals from a folder durable: a file that gc has removed must not be
// back after a power cut.
func (d *Dir) removedFrom(folder string) error {
	if err := d.sync(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.failed("removing files from a folder", folder, err)
	}
	d.prune(folder)
	return nil
}

// Staged calls each for every part staged under a key that starts with prefix, finished or
// not, in any order, with the time of its last write. It is for finding what dead runs left
// behind that is in no ledger. Keys longer than about 200 bytes are skipped. An error from
// each stops it and is returned.
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
			continue // just published or aborted
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

// stagedKey returns the key of a file in the staging folder (the inverse of stagedName), or
// false if the name does not tell.
func (d *Dir) stagedKey(name string) (string, bool) {
	escaped, ok := strings.CutSuffix(name, stagedSuffix)
	end := strings.LastIndexByte(escaped, '-')
	if !ok || end < 0 {
		return "", false
	}
	key, err := url.PathUnescape(escaped[:end])
	return key, err == nil && fs.ValidPath(key) && d.stagedName(key) == stagingDir+"/"+name
}
