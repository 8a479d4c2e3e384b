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
		err = eachKeyOf(f, func(k columnar.Key) {
			if k.ID != "" {
				each(hashOf(k.ID), k)
			}
		})
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("reading %s: %w", p.Key, err)
		}
	}
	return nil
}

func eachKeyOf(f sink.Reader, each func(columnar.Key)) error {
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

// idCount counts distinct ids by their hashes: exactly up to maxSample, beyond that to within
// about one percent. Then it keeps only hashes that end in as many zero bits as it takes to
// have room for them; each of those stands for 1<<zeros ids. The zero value is empty.
type idCount struct {
	sample map[uint64]struct{}
	zeros  int
}

// maxSample is how many hashes an idCount keeps, in a few MiB.
const maxSample = 1 << 17

func (c *idCount) add(hash uint64) {
	if !c.samples(hash) {
		return
	}
	if c.sample == nil {
		c.sample = map[uint64]struct{}{}
	}
	c.sample[hash] = struct{}{}
	for len(c.sample) > maxSample {
		c.zeros++
		maps.DeleteFunc(c.sample, func(hash uint64, _ struct{}) bool { return !c.samples(hash) })
	}
}

func (c *idCount) samples(hash uint64) bool { return hash&(1<<c.zeros-1) == 0 }

// count returns how many distinct ids were added.
func (c *idCount) count() int64 { return int64(len(c.sample)) << c.zeros }
