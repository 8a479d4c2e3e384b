package columnar

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// Pages store levels and dictionary indices in Parquet's hybrid of runs and of bit-packed groups
// of eight values, the first value in the lowest bits. The last group is padded with zeros, which
// readers skip. The writer chooses what becomes a run and what is packed. Only the size after
// compression matters: zstd sees bytes.
//
// See https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE.

// minRunEights is how many groups of eight equal values make a run among packed ones. The header
// of a shorter run would break up patterns that repeat.
const minRunEights = 8

// appendLevels appends the repetition and definition levels that the column has, each with its
// length in front. With runsAlone, each run is a byte of length and a byte of value, which is
// shortest where rows resemble each other.
func appendLevels(to []byte, f *Field, def, rep []byte, runsAlone bool) []byte {
	add := func(maxLevel uint8, levels []byte) {
		if maxLevel == 0 {
			return
		}
		at := len(to)
		to = append(to, 0, 0, 0, 0)
		if width := bits.Len8(maxLevel); runsAlone {
			to = appendRuns(to, levels)
		} else {
			to = appendHybrid(to, levels, width)
		}
		binary.LittleEndian.PutUint32(to[at:], uint32(len(to)-at-4))
	}
	add(f.rep, rep)
	add(f.def, def)
	return to
}

// appendRuns appends levels as runs only.
func appendRuns(to, levels []byte) []byte {
	for len(levels) > 0 {
		n := run(levels)
		to = append(binary.AppendUvarint(to, uint64(n)<<1), levels[0])
		levels = levels[n:]
	}
	return to
}

// run returns how many of the levels, from the first on, equal the first.
func run(levels []byte) int {
	n, first := 1, levels[0]
	for n < len(levels) && levels[n] == first {
		if n++; n%8 == 0 {
			for same := repeated(first); n+8 <= len(levels) && eight(levels[n:]) == same; {
				n += 8
			}
		}
	}
	return n
}

func eight(levels []byte) uint64 { return binary.LittleEndian.Uint64(levels) }

// repeated returns eight levels of this value, as eight does.
func repeated(level byte) uint64 { return uint64(level) * 0x0101010101010101 }

// appendHybrid appends levels bit-packed, except for long runs.
func appendHybrid(to, levels []byte, width int) []byte {
	packed := 0 // what comes before it is written
	for i := 0; i+8 <= len(levels); {
		if first := eight(levels[i:]); first != repeated(levels[i]) {
			i += 8
			continue
		}
		n := run(levels[i:])
		end := i + n
		if end < len(levels) {
			end -= n % 8
		}
		if end-i >= 8*minRunEights || end-i == len(levels) {
			to = appendPacked(to, levels[packed:i], width)
			to = append(binary.AppendUvarint(to, uint64(end-i)<<1), levels[i])
			packed = end
		}
		i = end
	}
	return appendPacked(to, levels[packed:], width)
}

// appendPacked appends levels of at most eight bits, bit-packed.
func appendPacked(to, levels []byte, width int) []byte {
	if len(levels) == 0 {
		return to
	}
	to = binary.AppendUvarint(to, uint64(len(levels)+7)/8<<1|1)
	k := uint(width)
	const twos, fours = 0x00ff00ff00ff00ff, 0x0000ffff0000ffff
	at := len(to)
	to = slices.Grow(to, (len(levels)+7)/8*width+8)
	to = to[:cap(to)]
	for ; len(levels) > 0; levels = levels[min(8, len(levels)):] {
		var v uint64
		if len(levels) >= 8 {
			v = eight(levels)
		} else {
			var last [8]byte
			copy(last[:], levels)
			v = eight(last[:])
		}
		v = v&twos | v>>8&twos<<k
		v = v&fours | v>>16&fours<<(2*k)
		v = v&math.MaxUint32 | v>>32<<(4*k)
		binary.LittleEndian.PutUint64(to[at:], v) // eight bytes; the next group overwrites the excess
		at += width
	}
	return to[:at]
}

// indexWidth returns how many bits an index into a dictionary of this many values gets. Three bits
// become four, and five to 16 become whole bytes: compression finds indices that are frequent or
// repeat only if they do not straddle bytes.
func indexWidth(values int) int {
	switch n := bits.Len(uint(values - 1)); {
	case n <= 2:
		return max(n, 1)
	case n <= 4:
		return 4
	case n <= 16:
		return (n + 7) / 8 * 8
	default:
		return n
	}
}

// appendIndices appends dictionary indices bit-packed, except for long runs.
func appendIndices(to []byte, index []int32, width int) []byte {
	packed := 0 // what comes before it is written
	for i := 0; i < len(index); {
		end := i + 1
		for end < len(index) && index[end] == index[i] {
			end++
		}
		from := i + (packed-i)&7 // the run's first values complete the packed group before it
		if end-from >= 8*minRunEights || from == 0 && end == len(index) {
			to = appendPackedIndices(to, index[packed:from], width)
			to = binary.AppendUvarint(to, uint64(end-from)<<1)
			for v, n := uint32(index[i]), 0; n < width; n += 8 {
				to = append(to, byte(v>>n))
			}
			packed = end
		}
		i = end
	}
	return appendPackedIndices(to, index[packed:], width)
}

func appendPackedIndices(to []byte, index []int32, width int) []byte {
	if len(index) == 0 {
		return to
	}
	size := (len(index) + 7) / 8
	to = binary.AppendUvarint(to, uint64(size)<<1|1)
	size = len(to) + size*width
	to = slices.Grow(to, size-len(to)+4)
	var bits uint64
	n := 0
	for _, v := range index {
		bits |= uint64(v) << n
		if n += width; n >= 32 {
			to = binary.LittleEndian.AppendUint32(to, uint32(bits))
			bits, n = bits>>32, n-32
		}
	}
	for len(to) < size {
		to, bits = append(to, byte(bits)), bits>>8
	}
	return to
}
