//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package sink

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// flock cannot lock on this system: Swap and Lock fail, and Put works without a lock.
func flock(*os.File) error {
	return fmt.Errorf("locking files on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func funlock(*os.File) error { return nil }
