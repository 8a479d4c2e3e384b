package sink

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// dirReader is a file of a Dir.
type dirReader struct {
	*os.File
	size int64
}

var _ Reader = (*dirReader)(nil)

// Size implements [Reader].
func (r *dirReader) Size() int64 { return r.size }

// List calls each for every file whose key starts with prefix, in byte order of the keys.
// It skips staged parts and lock files. An error from each stops it and is returned.
func (d *Dir) List(ctx context.Context, prefix string, each func(key string, size int64) error) error {
	return d.list(ctx, ".", prefix, each)
}

func (d *Dir) list(ctx context.Context, folder, prefix string, each func(key string, size int64) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	// A folder, or a file in it, may be gone by now.
	entries, err := fs.ReadDir(d.root.FS(), folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.failed("listing files", folder, err)
	}
	// In key order, "a-b/x" comes before "a/x".
	inKey := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(inKey(a), inKey(b)) })
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		switch {
		case name == stagingDir, name == locksDir:
		case e.IsDir():
			if below := name + "/"; strings.HasPrefix(below, prefix) || strings.HasPrefix(prefix, below) {
				if err := d.list(ctx, name, prefix, each); err != nil {
					return err
				}
			}
		case e.Type().IsRegular() && strings.HasPrefix(name, prefix):
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return d.failed("listing files", name, err)
			}
			if err := each(name, info.Size()); err != nil {
				return err
			}
		}
	}
	return nil
}
