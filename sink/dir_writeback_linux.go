package sink

import (
	"os"

	"golang.org/x/sys/unix"
)

// writeBack asks the system to start writing a range of a file to disk. It waits only while
// the disk's queue is full. Errors are left for Sync to report.
func writeBack(f *os.File, from, size int64) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), from, size, unix.SYNC_FILE_RANGE_WRITE)
	})
}
