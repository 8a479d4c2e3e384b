//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sink

import (
	"errors"
	"os"
	"syscall"
)

// flock locks an open file until it is closed; [ErrLocked] if another has. The lock is
// the open file's, so that goroutines of one process exclude each other as well.
func flock(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			failed = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
			if failed != syscall.EINTR {
				return
			}
		}
	})
	if failed == syscall.EWOULDBLOCK {
		return ErrLocked
	}
	return errors.Join(err, failed)
}
