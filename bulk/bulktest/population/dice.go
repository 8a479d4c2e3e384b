package population

import (
	"math/bits"
	"math/rand/v2"
)

// A stream keeps the dice of one concern of a patient apart from those of
// another, so that a change in how addresses are made does not reshuffle
// everybody's claims.
type stream uint64

const (
	streamPerson stream = iota + 1
	streamLife
	streamMeasures
	streamBill
	streamNotes
	streamDirectory
)

// dice are the random numbers of one concern of one patient. PCG's sequence is
// documented and fixed; the reduction to a range is done here, so that no
// release of Go can change a world.
type dice struct{ pcg rand.PCG }

// throw starts the sequence of one stream of one patient, and of the n-th thing
// in it, anew.
func (d *dice) throw(seed uint64, s stream, patient, n int) {
	d.pcg.Seed(mix(seed+uint64(s)), mix(uint64(patient)<<16|uint64(n)))
}

// below gives 0 <= x < n. The bias of the multiplication is far below anything
// that a test of plausibility could see.
func (d *dice) below(n int) int {
	hi, _ := bits.Mul64(d.pcg.Uint64(), uint64(n))
	return int(hi)
}

// between gives lo <= x <= hi.
func (d *dice) between(lo, hi int) int { return lo + d.below(hi-lo+1) }

// around gives a value near mean, at most spread away, the nearer the likelier.
func (d *dice) around(mean, spread int) int {
	return mean + (d.below(2*spread+1)+d.below(2*spread+1))/2 - spread
}

// chance is true in permille of 1000 cases.
func (d *dice) chance(permille int) bool { return d.below(1000) < permille }

// weighted picks an index of weights with a probability proportional to it.
func (d *dice) weighted(weights ...int) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	x := d.below(total)
	for i, w := range weights {
		if x -= w; x < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// mix is the finalizer of SplitMix64, a bijection: distinct inputs keep distinct
// outputs, which the unique ids rest on.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// luck is what decides a resource's small oddities: that it has no meta, that
// its date is partial. It comes from the resource's id, so that nothing has to
// be remembered between the files.
type luck uint64

// oneIn is true for one in n resources; salt keeps one oddity independent of
// another.
func (l luck) oneIn(salt, n uint64) bool { return mix(uint64(l)^salt<<56)%n == 0 }

// upTo gives 0 <= x < n.
func (l luck) upTo(salt uint64, n int) int { return int(mix(uint64(l)^salt<<56) % uint64(n)) }
