package pipeline

import (
	"context"
	"maps"
	"slices"
	"sync"

	"fhirkiln/pipeline/lake"
)

// key returns a new key to publish a part under.
func (r *run) key(partType string) string {
	return lake.PartKey{Type: partType, Source: r.Feed.Source, Feed: r.Feed.Name, Run: r.id, Name: r.fileName("p")}.String()
}

// fileName returns a name that no other file has.
func (r *run) fileName(letter string) string {
	return lake.FileName(letter, r.number.Add(1), r.lease.Generation())
}

// notedKeys holds part keys that are recorded in the ledger but not used yet, at most one per
// type.
type notedKeys struct {
	mu sync.Mutex // held while the ledger is written, so that only one worker does it
	of map[string]string
}

// notedKey returns a key for a part, already recorded in the ledger. The same entry also records
// keys for the next parts, those of the files waiting in q, so that they need no entry each. A
// key that is never used leaves nothing to clean up.
func (r *run) notedKey(ctx context.Context, partType string, q *queue) (string, error) {
	const maxKeys = 100 // in one entry
	n := &r.noted
	n.mu.Lock()
	defer n.mu.Unlock()
	key := n.of[partType]
	delete(n.of, partType)
	if key != "" {
		return key, nil
	}
	key = r.key(partType)
	fresh := map[string]string{}
	for _, k := range q.waiting(maxKeys) {
		if other := k.partType(); n.of[other] == "" && fresh[other] == "" {
			fresh[other] = r.key(other)
		}
	}
	if err := r.journal.add(ctx, entry{Keys: append(slices.Sorted(maps.Values(fresh)), key)}); err != nil {
		return "", err
	}
	if n.of == nil {
		n.of = map[string]string{}
	}
	maps.Copy(n.of, fresh)
	return key, nil
}
