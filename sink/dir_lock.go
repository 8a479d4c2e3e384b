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

// Lock locks a key exclusively. There need not be a file at the key. Lock does not wait: if
// another process holds the lock, or another goroutine of this one, the error wraps
// [ErrLocked]. The kernel releases the lock when the process dies, however it dies. unlock
// releases it; calling it again does nothing.
//
// The lock is on a separate file that is never renamed or removed: otherwise two processes
// could each lock a different file of that name.
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
		_ = funlock(f) // if this fails, Close releases the lock, but maybe later
		f.Close()
	}), nil
}

// waitLock is like tryLock, but waits for the lock until ctx ends. It polls, since the
// kernel's own wait ignores ctx and the process with the lock may be stopped for long.
func (d *Dir) waitLock(ctx context.Context, name string) (unlock func(), err error) {
	const maxPause = 50 * time.Millisecond
	for pause := time.Millisecond; ; pause = min(2*pause, maxPause) {
		unlock, err := d.tryLock(name)
		if err == nil || !errors.Is(err, ErrLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another process that is writing it: %w", context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}
