package pipeline

import (
	"hash/maphash"
	"math"
	"time"
)

// hashSeed is this process's own: hashes are never kept.
var hashSeed = maphash.MakeSeed()

// hashOf is 64 bits of an id.
func hashOf(id string) uint64 { return maphash.String(hashSeed, id) }

// never is before all instants.
const never = math.MinInt64

// instantOf is a server's time in microseconds, never if it cannot be read.
func instantOf(text string) int64 {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return never
	}
	return t.UnixMicro()
}
