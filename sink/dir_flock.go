//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sink

import (
	"errors"
	"os"
	"syscall"
)

// flock locks an open file; [ErrLocked] if another has. The lock is the open file's, so
// that goroutines of one process exclude each other as well. It lasts until funlock, or
// until all of the file's descriptors are closed, see there.
func flock(f *os.File) error {
	err := control(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// funlock lets go of the lock at once. Close does not always: a child that this process
// starts has a descriptor of the same open file, and with it the lock, from its fork to its
// exec.
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
