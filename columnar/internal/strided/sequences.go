package strided

import (
	"encoding/binary"
	"math/bits"
)

// offsetCode is the code of an offset as it is written, and how many bits follow it.
func offsetCode(offset int) (code, extra uint8) {
	n := uint8(bits.Len(uint(offset)) - 1)
	return n, n
}

// lengthCode is the code of a length of literals, and how many bits follow it.
func lengthCode(n int) (code, extra uint8) {
	switch {
	case n < 16:
		return uint8(n), 0
	case n < 64:
		return lengthCodes[n/2-8].code, lengthCodes[n/2-8].extra
	}
	b := uint8(bits.Len(uint(n)) - 1)
	return b + 19, b
}

// matchCode is the code of a match's length, less minMatch, and how many bits follow it.
func matchCode(n int) (code, extra uint8) {
	switch {
	case n < 32:
		return uint8(n), 0
	case n < 128:
		return matchCodes[n/2-16].code, matchCodes[n/2-16].extra
	}
	b := uint8(bits.Len(uint(n)) - 1)
	return b + 36, b
}

type codeOf struct{ code, extra uint8 }

// The codes of lengths that do not follow from their bits, for every second length.
var (
	lengthCodes = spans([]uint8{1, 1, 1, 1, 2, 2, 3, 3, 4}, 16) // from 16 to 63
	matchCodes  = spans([]uint8{1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5}, 32)
)

// spans lists codes, from first on, each as often as it has even lengths.
func spans(extra []uint8, first uint8) []codeOf {
	var all []codeOf
	for i, n := range extra {
		for range 1 << (n - 1) {
			all = append(all, codeOf{first + uint8(i), n})
		}
	}
	return all
}

// appendSequences appends the section of the sequences.
func (e *Encoder) appendSequences(to []byte, sequences []sequence) []byte {
	switch n := len(sequences); {
	case n == 0:
		return append(to, 0)
	case n < 128:
		to = append(to, byte(n))
	case n < 0x7f00:
		to = append(to, byte(n>>8)+128, byte(n))
	default:
		to = append(to, 255)
		to = binary.LittleEndian.AppendUint16(to, uint16(n-0x7f00))
	}
	e.lengths.reset()
	e.matches.reset()
	e.offsets.reset()
	last := 0 // the offset of the match before, which is written as 1
	for i := range sequences {
		s := &sequences[i]
		s.match -= minMatch
		if s.offset == last && s.literals > 0 {
			s.offset = 1
		} else {
			last = s.offset
			s.offset += 3
		}
		l, _ := lengthCode(s.literals)
		m, _ := matchCode(s.match)
		o, _ := offsetCode(s.offset)
		e.lengths.count[l]++
		e.matches.count[m]++
		e.offsets.count[o]++
	}
	e.lengths.build(len(sequences), 9)
	e.offsets.build(len(sequences), 8)
	e.matches.build(len(sequences), 9)
	to = append(to, e.lengths.mode()<<6|e.offsets.mode()<<4|e.matches.mode()<<2)
	to = e.lengths.append(to)
	to = e.offsets.append(to)
	to = e.matches.append(to)

	// Decoders read this from its end.
	w := bitWriter{to: to}
	for i := len(sequences) - 1; i >= 0; i-- {
		s := sequences[i]
		l, lengthBits := lengthCode(s.literals)
		m, matchBits := matchCode(s.match)
		o, offsetBits := offsetCode(s.offset)
		e.offsets.encode(&w, o)
		e.matches.encode(&w, m)
		e.lengths.encode(&w, l)
		w.add(uint(s.literals), lengthBits)
		w.add(uint(s.match), matchBits)
		w.add(uint(s.offset), offsetBits)
	}
	e.matches.end(&w)
	e.offsets.end(&w)
	e.lengths.end(&w)
	return w.close()
}

// bitWriter appends bits, the first to the lowest of a byte.
type bitWriter struct {
	to   []byte
	bits uint64
	n    uint8
}

// add appends the n lowest bits of v, at most 32.
func (w *bitWriter) add(v uint, n uint8) {
	w.bits |= uint64(v) & (1<<n - 1) << w.n
	if w.n += n; w.n >= 32 {
		w.to = binary.LittleEndian.AppendUint32(w.to, uint32(w.bits))
		w.bits, w.n = w.bits>>32, w.n-32
	}
}

// flush fills the last byte with zeros.
func (w *bitWriter) flush() []byte {
	for ; w.n > 0; w.n -= min(8, w.n) {
		w.to, w.bits = append(w.to, byte(w.bits)), w.bits>>8
	}
	return w.to
}

// close marks the end with a one.
func (w *bitWriter) close() []byte {
	w.add(1, 1)
	return w.flush()
}
