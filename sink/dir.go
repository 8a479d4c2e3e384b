package sink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// Dir is a folder on local disk. Its files have mode 0600 and its folders 0700. Publishing
// is durable: every file is synced before it is renamed into place, and its folder after.
//
// Called with a canceled ctx, a method does nothing and returns the cause. Once begun, it
// runs to the end, but List, Remove (between two files) and a waiting Swap stop when ctx
// ends.
//
// Safe for concurrent use, also by several processes, on one machine or on a network
// file system with locks (flock).
type Dir struct {
	path    string
	root    *os.Root // keeps keys and links from leading out of the folder
	writes  bool
	settled settled
	fsync   func(*os.File) error // (*os.File).Sync, unless a test replaces it
}

const (
	stagingDir = "_fhirkiln/staging" // parts and files not yet in place
	locksDir   = "_fhirkiln/locks"   // see [Dir.Lock]
	// stagedSuffix ends the name of a part that is not yet in place.
	stagedSuffix = ".staged"

	fileMode = 0o600
	dirMode  = 0o700
)

// OpenDir opens the folder, creating it if necessary, and checks that it is writable, so
// that a run fails before it asks a server for anything.
func OpenDir(name string) (*Dir, error) {
	failed := func(err error) error {
		e := &Error{Doing: "preparing the output folder", Where: name, Err: bare(err),
			Hint: "choose a folder that this user can create and write to"}
		switch {
		case isFull(err):
			e.Hint = hintFull
		case errors.Is(err, errApart):
			e.Hint = "mount the volume over the whole folder; to keep only the state elsewhere, set state.url"
		}
		return e
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, failed(err)
	}
	if err := os.MkdirAll(abs, dirMode); err != nil {
		return nil, failed(err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, failed(err)
	}
	d := &Dir{path: abs, root: root, writes: true, fsync: (*os.File).Sync}
	if err := d.proveWritable(); err != nil {
		root.Close()
		return nil, failed(err)
	}
	d.sweepPuts()
	d.pruneStaging()
	return d, nil
}

// ReadDir opens an existing folder to read what was published. It writes nothing.
func ReadDir(name string) (*Dir, error) {
	abs, err := filepath.Abs(name)
	if err == nil {
		var root *os.Root
		if root, err = os.OpenRoot(abs); err == nil {
			return &Dir{path: abs, root: root, fsync: (*os.File).Sync}, nil
		}
	}
	return nil, &Error{Doing: "opening the folder", Where: name, Err: bare(err), Hint: "check the path"}
}

func (d *Dir) proveWritable() error {
	const key = "/probe" // not a valid key, so no part can have it
	f, err := d.createStaged(key)
	if err != nil {
		return err
	}
	probe := &dirStaging{dir: d, key: key, file: f}
	_, err = probe.Write([]byte("fhirkiln was here\n"))
	if err == nil {
		// Publishing renames. The probe may be gone: another process may have renamed it.
		const there = ".fhirkiln-probe"
		if moved := d.root.Rename(d.stagedName(key), there); moved == nil {
			_ = d.root.Remove(there)
		} else if errors.Is(moved, syscall.EXDEV) {
			err = errApart
		}
	}
	return errors.Join(err, probe.Abort(context.Background()))
}

var errApart = errors.New("its folder _fhirkiln is on another volume, so files cannot be renamed out of it")

// Close releases the folder.
func (d *Dir) Close() error {
	if d.writes {
		d.pruneStaging()
	}
	d.settled.close()
	return d.root.Close()
}

// String returns the folder's path.
func (d *Dir) String() string { return d.path }

// Stage begins a part to be published at key. No two parts may share a key.
func (d *Dir) Stage(ctx context.Context, key string) (Staging, error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	f, err := d.createStaged(key)
	if err != nil {
		return nil, d.failed("creating a part", key, err)
	}
	return &dirStaging{dir: d, key: key, file: f}, nil
}

// Publish makes a staged part visible under its key. Publishing it again does nothing.
func (d *Dir) Publish(ctx context.Context, r Receipt) error {
	if err := check(ctx, r.Key); err != nil {
		return err
	}
	return d.failed("publishing a part", r.Key, d.publish(r))
}

func (d *Dir) publish(r Receipt) error {
	there, err := d.holds(r.Key, r.Size)
	if err == nil && !there {
		err = d.moveStaged(r)
		if errors.Is(err, fs.ErrNotExist) {
			// Another process may have published it meanwhile.
			if there, _ := d.holds(r.Key, r.Size); there {
				err = nil
			}
		}
	}
	if err != nil {
		return err
	}
	// Also if it was already there: the process that moved it may have been killed before
	// it synced.
	return d.syncUp(path.Dir(r.Key))
}

// Confirm checks that all of a part is staged, or already published. If neither, the
// error wraps [fs.ErrNotExist].
func (d *Dir) Confirm(ctx context.Context, r Receipt) error {
	if err := check(ctx, r.Key); err != nil {
		return err
	}
	const doing = "confirming a part"
	for _, name := range []string{d.stagedName(r.Key), r.Key} {
		info, err := d.root.Lstat(name)
		switch {
		case err == nil && isPart(info, r.Size):
			return nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return d.failed(doing, r.Key, err)
		}
	}
	return d.failed(doing, r.Key, fmt.Errorf("the part is neither staged nor published: %w", fs.ErrNotExist))
}

func (d *Dir) moveStaged(r Receipt) error {
	staged := d.stagedName(r.Key)
	switch there, err := d.holds(staged, r.Size); {
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("the part is not staged: %w", fs.ErrNotExist)
	}
	return d.move(staged, r.Key)
}

// holds reports whether the file exists. A different file in its place is an error.
func (d *Dir) holds(name string, size int64) (bool, error) {
	info, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !isPart(info, size):
		return false, fmt.Errorf("a different or damaged file is already there: it has %d bytes, not %d", info.Size(), size)
	}
	return true, nil
}

func isPart(info fs.FileInfo, size int64) bool {
	return info.Mode().IsRegular() && info.Size() == size
}

// Open opens what was published or put at key. If there is no such file, the error wraps
// [fs.ErrNotExist].
func (d *Dir) Open(ctx context.Context, key string) (Reader, error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	const doing = "opening a file"
	f, err := d.root.Open(key)
	if err != nil {
		return nil, d.failed(doing, key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("not a regular file: %w", fs.ErrNotExist)
	}
	if err != nil {
		f.Close()
		return nil, d.failed(doing, key, err)
	}
	return &dirReader{File: f, size: info.Size()}, nil
}

// stagedName returns the name under which a key's bytes are staged. All staged files are in
// one folder, under names that no reader's glob for Parquet matches. The name contains the
// key, for [Dir.Staged], unless that makes it longer than file systems allow.
func (d *Dir) stagedName(key string) string {
	const maxName = 255
	name := fmt.Sprintf("%s-%.8x%s", url.PathEscape(key), sha256.Sum256([]byte(key)), stagedSuffix)
	if len(name) > maxName {
		name = fmt.Sprintf("%s-%.8x%s", path.Base(key), sha256.Sum256([]byte(key)), stagedSuffix)
	}
	return stagingDir + "/" + name
}

func (d *Dir) createStaged(key string) (*os.File, error) {
	name := d.stagedName(key)
	var f *os.File
	err := d.inFolder(path.Dir(name), func() (err error) {
		f, err = d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
		return err
	})
	return f, err
}

// move renames a synced file into place; syncUp makes the rename durable.
func (d *Dir) move(from, to string) error {
	return d.inFolder(path.Dir(to), func() error { return d.root.Rename(from, to) })
}

func (d *Dir) failed(doing, key string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Doing: doing, Where: filepath.Join(d.path, filepath.FromSlash(key)), Err: bare(err)}
	switch {
	case errors.Is(err, ErrChanged):
		// No hint: only the caller knows what this means.
	case errors.Is(err, ErrLocked):
		e.Hint = "wait until the other process ends"
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOTSUP):
		e.Hint = "choose a folder on a file system that supports locks (flock)"
	case isFull(err):
		e.Hint = hintFull
	case errors.Is(err, syscall.EFBIG):
		e.Hint = "raise this user's file size limit (ulimit -f), or choose another folder"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Hint = "allow this user to write there, or choose another folder"
	default:
		e.Hint = "check the disk, and that nothing else changes this folder, or choose another one"
	}
	return e
}

const hintFull = "make room, or choose another folder"

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
