package pipeline

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// seen counts the resources that come more than once in a run: those of one type, id and
// meta.versionId, where there is one. Servers send resources again in each export that
// they belong to, and some in one export.
//
// It holds 64 bits of each, by a hash that is seeded by chance: of 3 million resources,
// one is mistaken for another in one of four million runs. Past about that many, which
// take 32 MiB, it lets go of them, and what came twice is not known.
//
// Safe for concurrent use.
type seen struct {
	max    int64
	seed   maphash.Seed
	shards [64]shard    // each grows by itself, so that none is copied whole
	count  atomic.Int64 // in the shards, but for up to countEach of each

	mu     sync.Mutex
	byType map[string]int64 // those that had come before
}

// countEach is how many resources a shard counts before it tells: cores that add to one
// number with each resource wait for each other.
const countEach = 64

// maxSeen is about how many resources a run may have for its duplicates to be known.
const maxSeen = 3_000_000

func newSeen(maximum int64) *seen {
	return &seen{max: maximum, seed: maphash.MakeSeed(), byType: map[string]int64{}}
}

// shard is a set of hashes: a table with linear probing, in which 0 is free.
type shard struct {
	mu    sync.Mutex
	table []uint64 // as long as a power of two
	used  int
}

// look notes a resource, and says whether it came before. A resource without an id is
// like no other.
func (s *seen) look(resourceType string, id, version []byte) (again bool) {
	if len(id) == 0 || s.count.Load() > s.max {
		return false
	}
	key := append(make([]byte, 0, 256), resourceType...) // on the stack, unless it is longer
	key = append(key, 0)
	key = append(key, id...)
	key = append(key, 0)
	key = append(key, version...)
	sum := maphash.Bytes(s.seed, key)
	shard := &s.shards[sum>>58]
	if sum == 0 {
		sum = 1
	}
	fresh, used := shard.add(sum)
	if !fresh {
		s.mu.Lock()
		s.byType[resourceType]++
		s.mu.Unlock()
	} else if used%countEach == 0 && s.count.Add(countEach) > s.max {
		for i := range s.shards {
			s.shards[i].drop()
		}
	}
	return !fresh
}

// firstTable is how many places a shard begins with, 64 KiB: so a run of 300,000 resources
// never moves one.
const firstTable = 8192

// add says whether sum is new, and how many there are with it.
func (s *shard) add(sum uint64) (fresh bool, used int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if 4*(s.used+1) > 3*len(s.table) {
		old := s.table
		s.table = make([]uint64, max(2*len(old), firstTable))
		for _, h := range old {
			if h != 0 {
				s.table[s.place(h)] = h
			}
		}
	}
	at := s.place(sum)
	if s.table[at] == sum {
		return false, s.used
	}
	s.table[at] = sum
	s.used++
	return true, s.used
}

// place is where sum is, or where it belongs.
func (s *shard) place(sum uint64) uint64 {
	mask := uint64(len(s.table) - 1)
	at := sum & mask
	for s.table[at] != 0 && s.table[at] != sum {
		at = (at + 1) & mask
	}
	return at
}

func (s *shard) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table, s.used = nil, 0
}

// known says whether all of the run's resources were looked at. A nil seen knows
// nothing.
func (s *seen) known() bool { return s != nil && s.count.Load() <= s.max }
