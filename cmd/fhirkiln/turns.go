package main

import (
	"context"
	"slices"
	"sync"
)

// turns are the runs that may have exports at a server at once. Most servers count an export
// until its files are fetched or it is deleted, and refuse the next one. Safe for concurrent
// use.
type turns struct {
	limit int

	mu      sync.Mutex
	taken   int             // more than limit if runs came with exports of theirs
	waiting []chan struct{} // closed as its turn comes, the first one first
}

// take waits until another run may have exports there. A run that has one there already waits
// for nobody, since others may wait for the end of that export, and counts all the same. When
// ctx ends, its cause is the error.
func (t *turns) take(ctx context.Context, there bool) (done func(), err error) {
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
	if at < 0 { // it came at the same moment
		t.leave()
	}
	return nil, context.Cause(ctx)
}

func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken--
	for t.taken < t.limit && len(t.waiting) > 0 {
		t.taken++
		close(t.waiting[0])
		t.waiting = t.waiting[1:]
	}
}
