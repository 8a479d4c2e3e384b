package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/sink"
)

// ownParts returns the parts of this run.
func (r *run) ownParts() []lake.Part {
	var parts []lake.Part
	for _, p := range r.journal.parts {
		parts = append(parts, lake.Part{Type: p.Type, Key: p.Receipt.Key})
	}
	return parts
}

// eachKey calls each for every row that has an id, in those of the parts that are of a type.
func (r *run) eachKey(ctx context.Context, parts []lake.Part, partType string, each func(id uint64, k columnar.Key)) error {
	return r.eachRow(ctx, parts, partType, func(k columnar.Key) {
		if k.ID != "" {
			each(hashOf(k.ID), k)
		}
	})
}

// eachRow calls each for every row in those of the parts that are of a type.
func (r *run) eachRow(ctx context.Context, parts []lake.Part, partType string, each func(columnar.Key)) error {
	for _, p := range parts {
		if p.Type != partType {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		f, err := r.Sink.Open(ctx, p.Key)
		if err != nil {
			return err
		}
		if err := errors.Join(eachRowOf(f, each), f.Close()); err != nil {
			return fmt.Errorf("reading %s: %w", p.Key, err)
		}
	}
	return nil
}

func eachRowOf(f sink.Reader, each func(columnar.Key)) error {
	r, err := columnar.NewReader(f, f.Size())
	if err != nil {
		return err
	}
	defer r.Close()
	for k, err := range r.Keys() {
		if err != nil {
			return err
		}
		each(k)
	}
	return nil
}

// idSample counts distinct ids by their hashes: exactly up to maxSample, beyond that to within
// about one percent. Then it keeps only hashes that end in as many zero bits as it takes to
// have room for them; each of those stands for 1<<zeros ids. The zero value is empty.
type idSample struct {
	newest    map[uint64]int64 // by the id's hash, the newest row's transactionTime
	zeros     int
	anonymous int64 // rows without an id
}

// maxSample is how many hashes an idSample keeps, in a few MiB.
const maxSample = 1 << 17

func (s *idSample) add(k columnar.Key) {
	if k.ID == "" {
		s.anonymous++
		return
	}
	id := hashOf(k.ID)
	if !s.samples(id) {
		return
	}
	if s.newest == nil {
		s.newest = map[uint64]int64{}
	}
	t := instantOf(k.TransactionTime)
	if before, ok := s.newest[id]; !ok || t > before {
		s.newest[id] = t
	}
	for len(s.newest) > maxSample {
		s.thin(s.zeros + 1)
	}
}

func (s *idSample) samples(id uint64) bool { return id&(1<<s.zeros-1) == 0 }

// thin keeps only hashes that end in as many zero bits.
func (s *idSample) thin(zeros int) {
	s.zeros = zeros
	maps.DeleteFunc(s.newest, func(id uint64, _ int64) bool { return !s.samples(id) })
}

// remove takes an id out if it was deleted after its newest row, or with it.
func (s *idSample) remove(deleted columnar.Key) {
	id := hashOf(deleted.ID)
	if t, ok := s.newest[id]; ok && t <= instantOf(deleted.TransactionTime) {
		delete(s.newest, id)
	}
}

// count returns how many distinct ids there are.
func (s *idSample) count() int64 { return int64(len(s.newest)) << s.zeros }

// notIn returns how many distinct ids there are, and how many of them are not in other.
func (s *idSample) notIn(other *idSample) (all, missing int64) {
	zeros := max(s.zeros, other.zeros) // what both have kept
	s.thin(zeros)
	other.thin(zeros)
	for id := range s.newest {
		if _, ok := other.newest[id]; !ok {
			missing++
		}
	}
	return s.count(), missing << zeros
}
