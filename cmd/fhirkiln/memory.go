package main

import (
	"os"
	"runtime/debug"
)

// collectSeldom sets GOGC to 50, unless the environment sets it. Most memory is reused
// buffers, and there is little garbage: Go's default of 100 is 2 % faster but takes a third
// more memory.
//
// With a small heap, this alone would collect every few megabytes and take an eighth of the
// time of a run of many small files. So collectSeldom returns memory that is never touched,
// and takes none, but counts as live while the caller keeps it: at least 32 MiB are allocated
// between collections. During a collection, storing pointers is slower, which in all costs as
// much time as the collection itself.
func collectSeldom() (floor []byte) {
	if _, set := os.LookupEnv("GOGC"); set {
		return nil
	}
	debug.SetGCPercent(50)
	return make([]byte, floorBytes)
}

const floorBytes = 64 << 20

// limitGarbage makes the collector run more often if the process would grow beyond what that
// many parallel runs need, unless the environment sets GOMEMLIMIT. It is not a hard bound, and
// nothing fails because of it: it is so far above the live memory that only garbage reaches it.
//
// A run needs memory for row groups, which take less than half of their NDJSON. That is at
// most 512 MiB of NDJSON over all its workers or cores, unless rowGroup bytes for each is
// more. Each worker also needs memory for downloads and uploads. The unwritten ends of buffers
// count as well, though many take no memory.
func (c console) limitGarbage(runs, workers, cores int, rowGroup int64) {
	if _, set := c.env("GOMEMLIMIT"); set || c.limitMemory == nil {
		return
	}
	const common, each = 272 << 20, 8 << 20
	one := max(common, int64(max(workers, cores))*rowGroup/2) + int64(workers)*each
	c.limitMemory(floorBytes + int64(runs)*one)
}
