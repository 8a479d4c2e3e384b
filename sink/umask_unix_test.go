//go:build unix

package sink_test

import "syscall"

// clearUmask makes files get exactly the modes that were asked for.
func clearUmask() { syscall.Umask(0) }
