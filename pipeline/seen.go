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
	late  []late
}

// late is a resource that was not looked for yet.
type late struct {
	sum          uint64
	resourceType string
	again        *atomic.Int64
}

// together is how many resources a shard looks for at once. A table is larger than a
// core's cache, and to wait for memory for each resource alone was a twelfth of the time
// of all for small ones: so the core waits for several at once.
const together = 16

// look notes a resource. If it came before, again is one higher, by the next settle at the
// latest. A resource without an id is like no other.
func (s *seen) look(resourceType string, id, version []byte, again *atomic.Int64) {
	if len(id) == 0 || s.count.Load() > s.max {
		return
	}
	key := append(make([]byte, 0, 256), resourceType...) // on the stack, unless it is longer
	key = append(key, 0)
	key = append(key, id...)
	key = append(key, 0)
	key = append(key, version...)
	sum := maphash.Bytes(s.seed, key)
	shard := &s.shards[sum>>58]
	if shard.put(late{max(sum, 1), resourceType, again}) >= together {
		s.settleShard(shard)
	}
}

// settle looks for all resources that were noted. A nil seen has none.
func (s *seen) settle() {
	if s != nil {
		for i := range s.shards {
			s.settleShard(&s.shards[i])
		}
	}
}

func (s *seen) settleShard(shard *shard) {
	shard.mu.Lock()
	told := shard.used / countEach
	for _, l := range shard.late {
		if !shard.add(l.sum) {
			l.again.Add(1)
			s.mu.Lock()
			s.byType[l.resourceType]++
			s.mu.Unlock()
		}
	}
	shard.late = shard.late[:0]
	told = shard.used/countEach - told
	shard.mu.Unlock()
	if told > 0 && s.count.Add(int64(told)*countEach) > s.max {
		for i := range s.shards {
			s.shards[i].drop()
		}
	}
}

// put notes a resource, and says how many are noted.
func (s *shard) put(l late) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, l)
	return len(s.late)
}

// firstTable is how many places a shard begins with, 64 KiB: so a run of 300,000 resources
// never moves one.
const firstTable = 8192

// add says whether sum is new.
func (s *shard) add(sum uint64) (fresh bool) {
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
		return false
	}
	s.table[at] = sum
	s.used++
	return true
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
	s.table, s.used, s.late = nil, 0, nil
}

// known says whether all of the run's resources were looked at, once they are settled. A
// nil seen knows nothing.
func (s *seen) known() bool { return s != nil && s.count.Load() <= s.max }
