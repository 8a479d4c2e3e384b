package pipeline

import (
	"context"
	"maps"
	"slices"
	"sync"

	"fhirkiln/pipeline/lake"
)

// key is where a part is published.
func (r *run) key(partType string) string {
	return lake.PartKey{Type: partType, Source: r.Feed.Source, Feed: r.Feed.Name, Run: r.id, Name: r.fileName("p")}.String()
}

// fileName is a name that no other file has.
func (r *run) fileName(letter string) string {
	return lake.FileName(letter, r.number.Add(1), r.lease.Generation())
}

// notedKeys are keys of parts that the ledger knows and nobody has used yet, at most one of
// a type.
type notedKeys struct {
	mu sync.Mutex // held while the ledger is written, so that not two workers do it
	of map[string]string
}

// notedKey returns a key for a part of which the ledger knows. Keys for the parts that come
// next, of the files that wait in q, are noted with it, so that those are staged without an
// entry each. What is never used leaves nothing to clean up.
func (r *run) notedKey(ctx context.Context, partType string, q *queue) (string, error) {
	const most = 100 // in an entry
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
	for _, k := range q.waiting(most) {
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
