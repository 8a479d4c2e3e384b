package sink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// putSuffix ends the name of a file that Put has not yet moved into its place.
const putSuffix = ".put"

// Put writes a small file whole: a reader sees the old content or the new. Of several
// at once the last one stays.
func (d *Dir) Put(ctx context.Context, key string, content []byte) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	return d.failed("writing a file", key, d.put(key, content))
}

func (d *Dir) put(key string, content []byte) error {
	f, name, err := d.createPut(key)
	if err != nil {
		return err
	}
	// Open, and so locked, until it is in its place, so that no other process sweeps it.
	// There nobody locks it, so that nothing is lost if the lock outlasts Close (see funlock).
	defer f.Close()
	_, err = f.Write(content)
	if err == nil {
		err = d.fsync(f)
	}
	if err == nil {
		err = d.move(name, key)
	}
	if err != nil {
		return errors.Join(err, d.remove(name))
	}
	return d.syncUp(path.Dir(key))
}

// createPut creates a file of a name of its own and locks it, which says to sweepPuts
// that its process lives.
func (d *Dir) createPut(key string) (*os.File, string, error) {
	for {
		name := fmt.Sprintf("%s/%s%s", stagingDir, rand.Text(), putSuffix)
		var f *os.File
		err := d.inFolder(path.Dir(name), func() (err error) {
			f, err = d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
			return err
		})
		if err != nil {
			return nil, "", err
		}
		// Without locks (some network file systems) nothing is ever swept either.
		err = flock(f)
		if !errors.Is(err, ErrLocked) && (err != nil || d.isAt(f, name)) {
			return f, name, nil //nolint:nilerr // see above: without locks it works as well
		}
		f.Close() // a sweep came between its creation and its lock
	}
}

// sweepPuts removes what Puts of killed processes have left, which nobody else would:
// those processes' successors have other names for their files. That some of it cannot
// be removed is no reason to fail.
func (d *Dir) sweepPuts() {
	left, err := fs.ReadDir(d.root.FS(), stagingDir)
	if err != nil {
		return
	}
	for _, e := range left {
		name := path.Join(stagingDir, e.Name())
		if !strings.HasSuffix(name, putSuffix) || !e.Type().IsRegular() {
			continue
		}
		f, err := d.root.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			continue
		}
		// Only who has the lock moves or removes it, so isAt stays true.
		if flock(f) == nil && d.isAt(f, name) {
			_ = d.remove(name)
		}
		f.Close()
	}
}

// isAt says whether an open file is (still) the one of that name.
func (d *Dir) isAt(f *os.File, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := d.root.Lstat(name)
	return err == nil && os.SameFile(open, there)
}
