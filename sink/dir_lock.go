package sink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path"
	"sync"
	"time"
)

// Lock takes the lock of a key, which need not be a file's, for this process alone. It
// does not wait: if another process has it, or another goroutine of this one, the
// error wraps [ErrLocked]. The kernel lets go of it when the process dies, in whatever
// way. unlock lets go of it; calling it again does nothing.
//
// The lock is on a file of its own that stays: if it were ever renamed or removed, two
// processes could each lock another file of that name.
func (d *Dir) Lock(ctx context.Context, key string) (unlock func(), err error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	unlock, err = d.tryLock(lockName(key, ".lock"))
	if err != nil {
		return nil, d.failed("locking", key, err)
	}
	return unlock, nil
}

func lockName(key, suffix string) string {
	return fmt.Sprintf("%s/%s-%.8x%s", locksDir, path.Base(key), sha256.Sum256([]byte(key)), suffix)
}

func (d *Dir) tryLock(name string) (unlock func(), err error) {
	var f *os.File
	err = d.inFolder(locksDir, func() (err error) {
		f, err = d.root.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		f.Close()
		return nil, err
	}
	return sync.OnceFunc(func() {
		_ = funlock(f) // and if that fails, Close does it, if late
		f.Close()
	}), nil
}

// waitLock is tryLock that waits until ctx ends. It asks again and again, since the
// kernel's own wait does not end with ctx, and the process that has the lock may be
// stopped for long.
func (d *Dir) waitLock(ctx context.Context, name string) (unlock func(), err error) {
	const longest = 50 * time.Millisecond
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		unlock, err := d.tryLock(name)
		if err == nil || !errors.Is(err, ErrLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another process that writes it: %w", context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}
