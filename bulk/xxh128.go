package bulk

import (
	"encoding/hex"

	"github.com/zeebo/xxh3"
)

// XXH128 is XXH3 of 128 bits of what is written to it, which never fails. The zero value
// is ready for use.
//
// It tells whether bytes are the same as before, for a small part of what SHA-256 costs.
// It does not withstand who makes two files alike on purpose; nobody gains by that here:
// who may send the files may as well send others.
type XXH128 struct{ xxh3 xxh3.Hasher }

// Write implements [io.Writer].
func (h *XXH128) Write(p []byte) (int, error) { return h.xxh3.Write(p) }

// String is the hash so far in 32 digits of hex, as "xxhsum -H128" prints it.
func (h *XXH128) String() string {
	sum := h.xxh3.Sum128().Bytes()
	return hex.EncodeToString(sum[:])
}
