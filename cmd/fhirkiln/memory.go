package main

import (
	"os"
	"runtime/debug"
)

// collectSeldom has garbage collected at half the live memory, unless GOGC says else. Most
// of the memory is buffers that are used again, and little garbage comes: to collect it at
// all of the live memory is 2 % faster and takes a third more.
//
// While little is live, that would be every few megabytes, and an eighth of the time of a
// run of many small files. So memory that is never touched, and takes none, counts as live
// as long as the caller keeps it: 32 MiB come before the next collection at least. While one
// goes on, to store a pointer takes longer, in all as long as the collection itself.
func collectSeldom() (floor []byte) {
	if _, set := os.LookupEnv("GOGC"); set {
		return nil
	}
	debug.SetGCPercent(50)
	return make([]byte, floorBytes)
}

const floorBytes = 64 << 20

// limitGarbage has garbage collected more often where the process would become larger than
// so many runs at once need, unless GOMEMLIMIT says else. It is no bound, and nothing
// fails by it: it is so far above what is live that only garbage is in the way.
//
// A run needs row groups, which are less than half of the NDJSON that is in them: of 512
// MiB at most for all its workers or cores, unless rowGroup, in bytes, is more for each; and
// for each worker what it downloads and uploads. The ends of buffers that nothing was written
// to yet count as well, though many take none.
func (c console) limitGarbage(runs, workers, cores int, rowGroup int64) {
	if _, set := c.env("GOMEMLIMIT"); set || c.limitMemory == nil {
		return
	}
	const common, each = 272 << 20, 8 << 20
	one := max(common, int64(max(workers, cores))*rowGroup/2) + int64(workers)*each
	c.limitMemory(floorBytes + int64(runs)*one)
}
