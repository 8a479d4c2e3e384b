package sink

import (
	"os"

	"golang.org/x/sys/unix"
)

// writeBack has the system begin to bring bytes of a file to the disk. It waits only
// while the disk's queue is full. Whether it works, Sync tells.
func writeBack(f *os.File, from, size int64) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), from, size, unix.SYNC_FILE_RANGE_WRITE)
	})
}
