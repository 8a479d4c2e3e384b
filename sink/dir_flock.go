//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sink

import (
	"errors"
	"os"
	"syscall"
)

// flock locks an open file, and returns [ErrLocked] if it is already locked. The lock
// belongs to the open file, so it also excludes other goroutines of this process. It lasts
// until funlock, or until all of the open file's descriptors are closed (see funlock).
func flock(f *os.File) error {
	err := control(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// funlock releases the lock at once. Close may not: between its fork and its exec, a child
// of this process has a descriptor of the same open file, and with it the lock.
func funlock(f *os.File) error { return control(f, syscall.LOCK_UN) }

func control(f *os.File, how int) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			failed = syscall.Flock(int(fd), how)
			if failed != syscall.EINTR {
				return
			}
		}
	})
	return errors.Join(err, failed)
}
