package strided

import "math/bits"

// maxCodes is how many codes there are at most: those of matches.
const maxCodes = 53

// table encodes codes by how frequent they are: Finite State Entropy, of RFC 8878,
// section 4.1.
type table struct {
	count  [maxCodes]int
	share  [maxCodes]int // of the states; their sum is 1 << log
	log    uint8         // 0: there is one code only, which takes no bits
	only   uint8         // that code
	states []uint16      // that follow, for each code by the state before
	codes  [maxCodes]transition
	state  uint32 // 0 before the first code
}

// transition leads from a state to those that stand for a code.
type transition struct {
	bits  uint32 // added to a state: how many of its bits are written, above bit 16
	place int32  // added to what is left of the state: the place in states
}

func (t *table) reset() { t.count, t.state = [maxCodes]int{}, 0 }

// build makes the table for n codes that are counted.
func (t *table) build(n, maxLog int) {
	kinds, most := 0, 0
	for c, count := range t.count {
		if count > 0 {
			kinds++
		}
		if count > t.count[most] {
			most = c
		}
	}
	if t.log, t.only = 0, uint8(most); kinds == 1 {
		return
	}
	t.log = uint8(max(min(bits.Len(uint(n))-2, maxLog), 5, bits.Len(uint(kinds))))
	left := 1 << t.log
	for c, count := range t.count {
		t.share[c] = 0
		if count > 0 {
			t.share[c] = max(count<<t.log/n, 1)
			left -= t.share[c]
		}
	}
	for ; left < 0; left++ { // many rare codes
		most = largest(&t.share)
		t.share[most]--
	}
	t.share[largest(&t.share)] += left
	t.spread()
}

func largest(all *[maxCodes]int) int {
	most := 0
	for i, n := range all {
		if n > all[most] {
			most = i
		}
	}
	return most
}

// spread gives the states to the codes, as a decoder does.
func (t *table) spread() {
	size := 1 << t.log
	step := size>>1 + size>>3 + 3
	if cap(t.states) < size {
		t.states = make([]uint16, size)
	}
	t.states = t.states[:size]
	var owner [512]uint8
	at := 0
	for c, n := range t.share {
		for range n {
			owner[at] = uint8(c)
			at = (at + step) & (size - 1)
		}
	}
	var next [maxCodes]int
	total := 0
	for c, n := range t.share {
		next[c] = total
		if n > 0 {
			// A state between n<<b and 2n<<b gives b bits away.
			b := uint32(t.log) - uint32(bits.Len(uint(n))-1)
			if n&(n-1) != 0 {
				b = uint32(t.log) - uint32(bits.Len(uint(n-1))-1)
			}
			t.codes[c] = transition{b<<16 - uint32(n)<<b, int32(total - n)}
		}
		total += n
	}
	for i, c := range owner[:size] {
		t.states[next[c]] = uint16(size + i)
		next[c]++
	}
}

// Modes of a table, section 3.1.1.3.2.1.
const (
	modeOnly    = 1
	modeEncoded = 2
)

func (t *table) mode() byte {
	if t.log == 0 {
		return modeOnly
	}
	return modeEncoded
}

// append appends the description of the table.
func (t *table) append(to []byte) []byte {
	if t.log == 0 {
		return append(to, t.only)
	}
	w := bitWriter{to: to}
	w.add(uint(t.log-5), 4)
	left := 1<<t.log + 1 // shares, and one
	for c := 0; left > 1; c++ {
		share := t.share[c]
		// Of the left+1 numbers that this may be, small ones take a bit less.
		width := uint8(bits.Len(uint(left)))
		short := 1<<width - 1 - left
		switch v := share + 1; {
		case v < short:
			w.add(uint(v), width-1)
		case v < 1<<(width-1):
			w.add(uint(v), width)
		default:
			w.add(uint(v+short), width)
		}
		left -= share
		if share > 0 {
			continue
		}
		none := 0 // more of those that are not there
		for t.share[c+1+none] == 0 {
			none++
		}
		c += none
		for ; none >= 3; none -= 3 {
			w.add(3, 2)
		}
		w.add(uint(none), 2)
	}
	return w.flush()
}

// encode writes a code. The first only decides the state.
func (t *table) encode(w *bitWriter, code uint8) {
	if t.log == 0 {
		return
	}
	c := t.codes[code]
	if t.state == 0 {
		b := (c.bits + 1<<15) >> 16
		t.state = uint32(t.states[int32((b<<16-c.bits)>>b)+c.place])
		return
	}
	b := (t.state + c.bits) >> 16
	w.add(uint(t.state), uint8(b))
	t.state = uint32(t.states[int32(t.state>>b)+c.place])
}

// end writes the state, which a decoder begins with.
func (t *table) end(w *bitWriter) {
	w.add(uint(t.state), t.log)
}
