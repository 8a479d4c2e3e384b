package setup

import (
	"context"
	"slices"
	"sync"

	"fhirkiln/config"
)

// Turns limits how many runs have exports at a server at once. Most servers count an export
// until its files are fetched or it is deleted, and refuse the next one. Safe for concurrent
// use. Create it with [NewTurns].
type Turns struct {
	limit int

	mu      sync.Mutex
	taken   int             // above limit if runs came with existing exports
	waiting []chan struct{} // closed when its turn comes, in order
}

// NewTurns returns the turns of a server that allows limit runs to have exports at once. All
// runs at that server share it.
func NewTurns(limit int) *Turns { return &Turns{limit: limit} }

// Take is for [pipeline.Options]: it waits until another run may have exports at the server. A run that already has one there
// does not wait, since others may be waiting for the end of that export, but it counts as well.
// If ctx ends, Take returns its cause.
func (t *Turns) Take(ctx context.Context, there bool) (done func(), err error) {
	t.mu.Lock()
	if there || t.taken < t.limit {
		t.taken++
		t.mu.Unlock()
		return sync.OnceFunc(t.leave), nil
	}
	turn := make(chan struct{})
	t.waiting = append(t.waiting, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return sync.OnceFunc(t.leave), nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	at := slices.Index(t.waiting, turn)
	if at >= 0 {
		t.waiting = slices.Delete(t.waiting, at, at+1)
	}
	t.mu.Unlock()
	if at < 0 { // the turn came at the same moment
		t.leave()
	}
	return nil, context.Cause(ctx)
}

func (t *Turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken--
	for t.taken < t.limit && len(t.waiting) > 0 {
		t.taken++
		close(t.waiting[0])
		t.waiting = t.waiting[1:]
	}
}

// Interleave orders feeds that are to run with limited parallelism: the first of each source,
// then the second of each. Otherwise feeds of one source, waiting for each other, could occupy
// all of the parallel runs.
func Interleave(feeds []config.Feed) []config.Feed {
	var rounds [][]config.Feed
	of := map[string]int{}
	for _, f := range feeds {
		n := of[f.Source]
		if of[f.Source]++; n == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[n] = append(rounds[n], f)
	}
	ordered := make([]config.Feed, 0, len(feeds))
	for _, round := range rounds {
		ordered = append(ordered, round...)
	}
	return ordered
}
