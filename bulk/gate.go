package bulk

import (
	"context"
	"sync"
	"time"

	"fhirkiln/transport"
)

// initialLimit is how many files of one host may be open at once to begin with.
const initialLimit = 16

// gates limit the fetching of files, with one gate per origin.
type gates struct {
	mu       sync.Mutex
	byOrigin map[string]*gate
}

func (g *gates) of(origin string) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byOrigin == nil {
		g.byOrigin = make(map[string]*gate)
	}
	if g.byOrigin[origin] == nil {
		g.byOrigin[origin] = &gate{limit: initialLimit}
	}
	return g.byOrigin[origin]
}

// gate limits how many files of a host are open at once to what the host seems to bear: one
// more after each round of files that it served, half as many after a 429 or 503 (additive
// increase, multiplicative decrease, like TCP). While the host asks for a pause, nobody
// enters.
type gate struct {
	mu         sync.Mutex
	limit      float64 // at least 1
	open       int
	shutUntil  time.Time // nobody enters before
	halved     time.Time // when limit was last halved
	servedOnce bool      // the host has served a file
	waiting    []chan struct{}
}

// enter waits until there is room and no pause. If ctx ends first, it returns ctx's cause.
// It returns the time of entry. Whoever enters must leave.
func (g *gate) enter(ctx context.Context) (time.Time, error) {
	for {
		g.mu.Lock()
		now := time.Now()
		pause := g.shutUntil.Sub(now)
		if pause <= 0 && float64(g.open) < max(g.limit, 1) {
			g.open++
			g.mu.Unlock()
			return now, nil
		}
		turn := make(chan struct{})
		if pause <= 0 {
			g.waiting = append(g.waiting, turn)
		}
		g.mu.Unlock()
		if pause > 0 {
			if err := transport.Sleep(ctx, pause); err != nil {
				return now, err
			}
			continue
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return now, context.Cause(ctx) // no wake-up is lost: wake wakes all who wait
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	g.open--
	g.mu.Unlock()
	g.wake()
}

// wake makes all who wait check again. There are at most as many as workers, so few.
func (g *gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, turn := range g.waiting {
		close(turn)
	}
	g.waiting = nil
}

// served records that the host served a file.
func (g *gate) served() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit += 1 / g.limit
	g.servedOnce = true
}

// hasServed reports whether the host has ever served a file.
func (g *gate) hasServed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.servedOnce
}

// throttled records that the host told a request, which had entered the gate at entered, to
// come later. It halves the limit and shuts the gate for pause. Requests that were in flight
// together halve the limit only once.
func (g *gate) throttled(entered time.Time, pause time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if !entered.Before(g.halved) {
		g.limit, g.halved = max(g.limit/2, 1), now
	}
	if until := now.Add(pause); until.After(g.shutUntil) {
		g.shutUntil = until
	}
}
