package columnar

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/klauspost/compress/huff0"
)

// strides makes Zstandard frames (RFC 8878) of values that all have the same size, such as UUIDs.
// In each value, the bytes that equal those of the value before it (its length, a prefix) become a
// match; all others are entropy-coded one by one. An encoder that searches for matches finds some
// of a few bytes here, which take more room than those bytes, and more time.
//
// A strides belongs to one goroutine.
type strides struct {
	huffman  huff0.Scratch
	literals []byte
	varies   []byte
}

// stride tells how the values of a page are alike: from offset start on, each has size bytes, and
// a run of same bytes, beginning at from, is equal in all of them. The run may wrap around into
// the next value.
type stride struct{ start, size, from, same int }

const (
	// minRun is the shortest run of equal bytes that is coded as a match.
	minRun = 4
	// maxStride is the largest size of a value.
	maxStride = 256
	// blockBytes is how many bytes a block may decompress to (RFC 8878, section 3.1.1.2.4).
	blockBytes = 128 << 10
)

// literals returns how many literals there are in values of this many bytes in total.
func (f stride) literals(bytes int) int { return bytes / f.size * (f.size - f.same) }

// find reports how the values of a page are alike. The values begin at start and have size bytes
// each. ok is false if they have too little in common, are too few, or are too large for a frame.
func (s *strides) find(page []byte, start, size int) (f stride, ok bool) {
	n := len(page) - start
	if size < minRun || size > maxStride || n < 3*size || n%size != 0 || len(page) > windowBytes {
		return f, false
	}
	from, same := s.sameRun(page[start:], size)
	return stride{start, size, from, same}, same >= minRun
}

// frame appends a Zstandard frame that decompresses to page.
func (s *strides) frame(to, page []byte, f stride) []byte {
	to = append(to, 0x28, 0xB5, 0x2F, 0xFD, 2<<6|1<<5) // magic; single segment, its size in four bytes
	to = binary.LittleEndian.AppendUint32(to, uint32(len(page)))
	for head := f.start + f.from + f.same; head > 0; { // up to the first end of the run
		n := min(head, blockBytes)
		to = s.block(to, page[:n], sequences{}, false)
		page, head = page[n:], head-n
	}
	size, coded := f.size, f.size-f.same
	q := sequences{literals: coded, match: f.same, offset: size + 3}
	for last := false; !last; {
		q.count = min(len(page), blockBytes-size) / size
		s.literals = s.literals[:0]
		for range q.count {
			s.literals = append(s.literals, page[:coded]...)
			page = page[size:]
		}
		if last = len(page) < size; last {
			s.literals = append(s.literals, page...)
		}
		to = s.block(to, s.literals, q, last)
		q.offset = 1 // repeats the last offset
	}
	return to
}

// sameRun finds the longest run of bytes that are equal in all values. It may wrap around into the
// next value.
func (s *strides) sameRun(values []byte, size int) (from, n int) {
	s.varies = slices.Grow(s.varies[:0], size)[:size]
	clear(s.varies)
	for last, v := values[:size], values[size:]; len(v) >= size; last, v = v[:size], v[size:] {
		i := 0
		for ; i+8 <= size; i += 8 {
			other := binary.LittleEndian.Uint64(v[i:]) ^ binary.LittleEndian.Uint64(last[i:])
			binary.LittleEndian.PutUint64(s.varies[i:], binary.LittleEndian.Uint64(s.varies[i:])|other)
		}
		for ; i < size; i++ {
			s.varies[i] |= v[i] ^ last[i]
		}
	}
	run := 0
	for i := 0; i < 2*size && run < size-1; i++ {
		if s.varies[i%size] != 0 {
			run = 0
		} else if run++; run > n {
			from, n = i+1-run, run
		}
	}
	return from, n
}

// block appends a block of literals and of sequences, each of which takes its share of the
// literals (RFC 8878, sections 3.1.1.2 and 3.1.1.3).
func (s *strides) block(to, literals []byte, q sequences, last bool) []byte {
	const raw, compressed = 0, 2 // types of a block, and of its literals
	kind, at := compressed, len(to)
	to = append(to, 0, 0, 0)
	s.huffman.Reuse = huff0.ReusePolicyNone
	code, _, err := huff0.Compress4X(literals, &s.huffman)
	switch {
	case err == nil && 5+len(code) < len(literals): // four streams, both sizes in 18 bits
		header := compressed | 3<<2 | uint64(len(literals))<<4 | uint64(len(code))<<22
		to = append(to, byte(header), byte(header>>8), byte(header>>16), byte(header>>24), byte(header>>32))
		to = q.append(append(to, code...))
	case q.count > 0: // literals do not compress; their size in 20 bits
		header := raw | 3<<2 | uint32(len(literals))<<4
		to = append(to, byte(header), byte(header>>8), byte(header>>16))
		to = q.append(append(to, literals...))
	default:
		kind = raw
		to = append(to, literals...)
	}
	header := uint32(len(to)-at-3)<<3 | uint32(kind)<<1
	if last {
		header |= 1
	}
	to[at], to[at+1], to[at+2] = byte(header), byte(header>>8), byte(header>>16)
	return to
}

// sequences are the sequences of a block, which are all the same: some literals, then a match.
type sequences struct {
	count    int
	literals int // up to maxStride
	match    int // minRun to maxStride bytes
	offset   int // 3 + how far back the match is; 1 repeats the last distance
}

// append appends the sequences section. Each of its three codes has a single value, so that a
// sequence takes only the extra bits of its codes.
func (q sequences) append(to []byte) []byte {
	switch {
	case q.count == 0:
		return append(to, 0)
	case q.count < 128:
		to = append(to, byte(q.count))
	default: // below 0x7F00, since values are longer than minRun
		to = append(to, byte(q.count>>8)+128, byte(q.count))
	}
	literals := codeOf(q.literals, 16, literalBits)
	match := codeOf(q.match, 35, matchBits)
	offset := lengthCode{code: bits.Len(uint(q.offset)) - 1}
	offset.extra, offset.bits = q.offset-1<<offset.code, offset.code
	const once = 1<<6 | 1<<4 | 1<<2 // RLE_Mode for all three
	to = append(to, once, byte(literals.code), byte(offset.code), byte(match.code-3))
	// Bits are read from the last one backward, and begin below the highest that is set.
	extra := uint64(literals.extra) | uint64(match.extra)<<literals.bits | uint64(offset.extra)<<(literals.bits+match.bits)
	var stream uint64
	n := 0
	for range q.count {
		stream |= extra << n
		for n += literals.bits + match.bits + offset.bits; n >= 8; n -= 8 {
			to, stream = append(to, byte(stream)), stream>>8
		}
	}
	return append(to, byte(stream|1<<n))
}

// lengthCode is a code of RFC 8878, section 3.1.1.3.2.1.1, with the extra bits that tell which of
// its lengths is meant.
type lengthCode struct{ code, extra, bits int }

// Small lengths have a code each. These are the numbers of extra bits of the codes after those:
// each stands for 1 << bits lengths.
var (
	literalBits = []int{1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8}
	matchBits   = []int{1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8}
)

// codeOf returns the code of a length. first is the smallest length that shares its code.
func codeOf(length, first int, bits []int) lengthCode {
	if length < first {
		return lengthCode{code: length}
	}
	code := first
	for length >= first+1<<bits[0] {
		first += 1 << bits[0]
		bits = bits[1:]
		code++
	}
	return lengthCode{code, length - first, bits[0]}
}
