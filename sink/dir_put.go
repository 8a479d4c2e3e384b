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

// putSuffix ends the name of a file that Put has not yet moved into place.
const putSuffix = ".put"

// Put writes a small file atomically: a reader sees the old content or the new. Of
// concurrent Puts, the last one wins.
func (d *Dir) Put(ctx context.Context, key string, content []byte) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	return d.failed("writing a file", key, d.put(key, content))
}

func (d *Dir) put(key string, content []byte) error {
	f, name, err := d.createPut()
	if err != nil {
		return err
	}
	// The file stays open, and so locked, until it is in place, so that no other process
	// sweeps it. In place, nobody locks it, so a lock that outlasts Close (see funlock) does
	// no harm.
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

// createPut creates a file with a unique name and locks it, which tells sweepPuts that its
// process is alive.
func (d *Dir) createPut() (*os.File, string, error) {
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
		// Without locks (some network file systems), nothing is swept either.
		err = flock(f)
		if !errors.Is(err, ErrLocked) && (err != nil || d.isAt(f, name)) {
			return f, name, nil //nolint:nilerr // see above: works without locks, too
		}
		f.Close() // a sweep came between creating and locking
	}
}

// sweepPuts removes files that the Puts of killed processes left behind. Nobody else would:
// the names are random, so later processes do not reuse them. A file that cannot be removed
// is not an error.
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
		// Only the lock's holder moves or removes the file, so isAt stays true.
		if flock(f) == nil && d.isAt(f, name) {
			_ = d.remove(name)
		}
		f.Close()
	}
}

// isAt reports whether an open file is still the one of that name.
func (d *Dir) isAt(f *os.File, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := d.root.Lstat(name)
	return err == nil && os.SameFile(open, there)
}
