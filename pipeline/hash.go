package pipeline

import (
	"hash/maphash"
	"math"
	"time"
)

// hashSeed differs from process to process: hashes are never stored.
var hashSeed = maphash.MakeSeed()

// hashOf returns a 64-bit hash of an id.
func hashOf(id string) uint64 { return maphash.String(hashSeed, id) }

// never is before all instants.
const never = math.MinInt64

// instantOf returns a server's time in microseconds, or never if it cannot be read.
func instantOf(text string) int64 {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return never
	}
	return t.UnixMicro()
}
