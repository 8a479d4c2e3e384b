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
// one is mistaken for another in one of four million runs. Past that many, which take
// 32 MiB, it lets go of them, and what came twice is not known.
//
// Safe for concurrent use, by a looker for each goroutine.
type seen struct {
	max    int64
	seed   maphash.Seed
	shards [64]shard // each grows by itself, so that none is copied whole
	count  atomic.Int64

	mu     sync.Mutex
	byType map[string]int64 // those that had come before
}

// maxSeen is how many resources a run may have for its duplicates to be known.
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

// looker notes resources, to look for them in seen. It belongs to one goroutine at a time.
type looker struct {
	seen    *seen
	full    bool        // seen was, so that nothing is noted any more
	repeats int64       // how many of those that were looked for had come before
	noted   [64][]noted // by shard
}

// noted is a resource that was noted and not looked for yet.
type noted struct {
	sum          uint64
	resourceType string
}

// batch is how many hashes of one shard are looked up together: the table does not fit a
// core's cache, and one lookup at a time cost a twelfth of a run of small resources, waiting
// for memory. Nor do cores then wait for each other at each resource.
const batch = 16

// look notes a resource. One without an id is like no other.
func (l *looker) look(resourceType string, id, version []byte) {
	if len(id) == 0 || l.full {
		return
	}
	key := append(make([]byte, 0, 256), resourceType...) // on the stack, unless it is longer
	key = append(key, 0)
	key = append(key, id...)
	key = append(key, 0)
	key = append(key, version...)
	sum := maphash.Bytes(l.seen.seed, key)
	n := sum >> 58
	l.noted[n] = append(l.noted[n], noted{max(sum, 1), resourceType})
	if len(l.noted[n]) == batch {
		l.flush(int(n))
	}
}

// finish looks for all that were noted, and returns how many had come before since it was
// called last.
func (l *looker) finish() (repeats int64) {
	for n := range l.noted {
		l.flush(n)
	}
	repeats, l.repeats = l.repeats, 0
	return repeats
}

// flush looks for what was noted of a shard.
func (l *looker) flush(n int) {
	s, some := l.seen, l.noted[n]
	l.noted[n] = some[:0]
	if l.full = s.count.Load() > s.max; l.full || len(some) == 0 {
		return
	}
	if fresh := s.shards[n].take(some, l.cameBefore); fresh > 0 && s.count.Add(fresh) > s.max {
		for i := range s.shards {
			s.shards[i].drop()
		}
	}
}

func (l *looker) cameBefore(resourceType string) {
	l.repeats++
	l.seen.mu.Lock()
	defer l.seen.mu.Unlock()
	l.seen.byType[resourceType]++
}

// take adds resources, and calls back for those that were there. It returns how many were
// not.
func (s *shard) take(some []noted, cameBefore func(resourceType string)) (fresh int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range some {
		if s.add(l.sum) {
			fresh++
		} else {
			cameBefore(l.resourceType)
		}
	}
	return fresh
}

// firstTable is how many places a shard begins with, 64 KiB: so a run of 300,000 resources
// never moves one.
const firstTable = 8192

// add says whether sum is new.
func (s *shard) add(sum uint64) (fresh bool) {
	if 4*(s.used+1) > 3*len(s.table) {
		old := s.table
		s.table = make([]uint64, max(2*len(old), firstTable))
		clear(s.table) // written before it is read, or the system maps each page twice, and all cores wait
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
	s.table, s.used = nil, 0
}

// known says whether all of the run's resources were looked for, once lookers have finished.
// A nil seen knows nothing.
func (s *seen) known() bool { return s != nil && s.count.Load() <= s.max }
