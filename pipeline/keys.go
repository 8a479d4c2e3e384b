package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"

	"fhirkiln/columnar"
)

// key is where a part is published. No two processes ever have the same one: whatever
// an old holder of the lease still does, it does to its own keys.
func (r *run) key(partType string) string {
	return fmt.Sprintf("%s/%s/kiln_source=%s/kiln_feed=%s/kiln_run=%s/%s.parquet",
		columnar.LayoutPath, partType, r.Feed.Source, r.Feed.Name, r.id, r.partName("p"))
}

func (r *run) partName(letter string) string {
	return fmt.Sprintf("%s%05d-%d-%s", letter, r.number.Add(1), r.lease.Generation(), randomHex(4))
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
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
