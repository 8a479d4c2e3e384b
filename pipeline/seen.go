package pipeline

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// seen counts the resources that come more than once in a run: those with the same type, id and,
// where there is one, meta.versionId. Servers send a resource again in each export that it
// belongs to, and some send it again in one export.
//
// It keeps 64 bits per resource, from a hash with a random seed: with 3 million resources, one
// is mistaken for another in one of four million runs. Past that many, which take 32 MiB, it
// drops them all, and duplicates are not known.
//
// It is safe for concurrent use if each goroutine has a looker of its own.
type seen struct {
	max    int64
	seed   maphash.Seed
	shards [64]shard // each grows by itself, so that they are never all copied at once
	count  atomic.Int64

	mu     sync.Mutex
	byType map[string]int64 // how many had come before
}

// maxSeen is how many resources a run may have for its duplicates to be known.
const maxSeen = 3_000_000

func newSeen(maximum int64) *seen {
	return &seen{max: maximum, seed: maphash.MakeSeed(), byType: map[string]int64{}}
}

// shard is a set of hashes: a table with linear probing, in which 0 marks a free slot.
type shard struct {
	mu    sync.Mutex
	table []uint64 // its length is a power of two
	used  int
}

// looker collects resources and looks them up in seen. It belongs to one goroutine at a time.
type looker struct {
	seen    *seen
	full    bool        // seen was full, so nothing is noted anymore
	repeats int64       // how many of those looked up had come before
	noted   [64][]noted // by shard
}

// noted is a resource that has not been looked up yet.
type noted struct {
	sum          uint64
	resourceType string
}

// batch is how many hashes of one shard are looked up together. The table does not fit into a
// core's cache, and looking up one at a time cost a twelfth of a run of small resources, spent
// waiting for memory. Batching also keeps cores from waiting for each other at each resource.
const batch = 16

// look notes a resource. One without an id is not counted, since it is like no other.
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

// finish looks up everything that is still noted, and returns how many resources since the last
// call had come before.
func (l *looker) finish() (repeats int64) {
	for n := range l.noted {
		l.flush(n)
	}
	repeats, l.repeats = l.repeats, 0
	return repeats
}

// flush looks up what was noted for one shard.
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

// take adds resources, and calls cameBefore for those that are there already. It returns how
// many were new.
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

// firstTable is how many slots a shard begins with, 64 KiB: enough that a run of 300,000
// resources never has to move one.
const firstTable = 8192

// add adds sum and reports whether it is new.
func (s *shard) add(sum uint64) (fresh bool) {
	if 4*(s.used+1) > 3*len(s.table) {
		old := s.table
		s.table = make([]uint64, max(2*len(old), firstTable))
		clear(s.table) // written before it is read; otherwise the system maps each page twice, and all cores wait
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

// place returns the slot that sum is in, or belongs in.
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

// known reports whether all of the run's resources were looked up, once the lookers have
// finished. A nil seen knows nothing.
func (s *seen) known() bool { return s != nil && s.count.Load() <= s.max }
