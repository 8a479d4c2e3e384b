package population

import (
	"math/bits"
	"math/rand/v2"
)

// A stream separates the dice of one concern of a patient from those of others, so that a change
// in how addresses are made does not reshuffle everybody's claims.
type stream uint64

const (
	streamPerson stream = iota + 1
	streamLife
	streamMeasures
	streamBill
	streamNotes
	streamDirectory
)

// dice generates the random numbers of one concern of one patient. PCG's sequence is documented
// and fixed. The reduction to a range is done here, so that no release of Go can change a world.
type dice struct{ pcg rand.PCG }

// throw restarts the sequence for the n-th thing in one stream of one patient.
func (d *dice) throw(seed uint64, s stream, patient, n int) {
	d.pcg.Seed(mix(seed+uint64(s)), mix(uint64(patient)<<16|uint64(n)))
}

// below returns 0 <= x < n. The bias of the multiplication is far too small for any test of
// plausibility to see.
func (d *dice) below(n int) int {
	hi, _ := bits.Mul64(d.pcg.Uint64(), uint64(n))
	return int(hi)
}

// between returns lo <= x <= hi.
func (d *dice) between(lo, hi int) int { return lo + d.below(hi-lo+1) }

// around returns a value at most spread away from mean; nearer values are likelier.
func (d *dice) around(mean, spread int) int {
	return mean + (d.below(2*spread+1)+d.below(2*spread+1))/2 - spread
}

// chance returns true in permille of 1000 cases.
func (d *dice) chance(permille int) bool { return d.below(1000) < permille }

// weighted returns an index of weights with probability proportional to its weight.
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

// mix is the finalizer of SplitMix64, a bijection. The uniqueness of ids relies on distinct
// inputs having distinct outputs.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// luck decides about a resource's small oddities, such as a missing meta or a partial date. It
// is derived from the resource's id, so that files need no shared state.
type luck uint64

// oneIn returns true for one in n resources. salt makes oddities independent of each other.
func (l luck) oneIn(salt, n uint64) bool { return mix(uint64(l)^salt<<56)%n == 0 }

// upTo returns 0 <= x < n.
func (l luck) upTo(salt uint64, n int) int { return int(mix(uint64(l)^salt<<56) % uint64(n)) }
