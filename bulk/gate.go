package bulk

import (
	"context"
	"sync"
	"time"

	"fhirkiln/transport"
)

// openFiles is how many files of one host are fetched at once to begin with.
const openFiles = 16

// gates hold back the fetching of files, one gate for each origin.
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
		g.byOrigin[origin] = &gate{limit: openFiles}
	}
	return g.byOrigin[origin]
}

// gate lets as many files of a host be open at once as the host seems to bear: one
// more for each round of files that it handed out, half as many when it said 429 or
// 503 (additive increase, multiplicative decrease, as TCP has it). While the host asks
// for a pause, nobody passes.
type gate struct {
	mu      sync.Mutex
	limit   float64 // at least 1
	open    int
	shut    time.Time // nobody passes before
	eased   time.Time // when limit was halved last
	handed  bool      // out a file, at any time
	waiting []chan struct{}
}

// enter waits until there is room and no pause, or until ctx ends, whose cause it then
// returns. It says when it let pass; who passed must leave.
func (g *gate) enter(ctx context.Context) (time.Time, error) {
	for {
		g.mu.Lock()
		now := time.Now()
		pause := g.shut.Sub(now)
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
			return now, context.Cause(ctx) // its turn is nobody else's: wake is for all who wait
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	g.open--
	g.mu.Unlock()
	g.wake()
}

// wake lets all who wait look again. They are as many as there are workers: few.
func (g *gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, turn := range g.waiting {
		close(turn)
	}
	g.waiting = nil
}

// served says that the host handed out a file.
func (g *gate) served() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit += 1 / g.limit
	g.handed = true
}

// hasServed says whether the host has ever handed out a file.
func (g *gate) hasServed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.handed
}

// throttled says that a request which entered then was told to come later: fewer at
// once, and nobody for that long. Requests that were on their way together count once.
func (g *gate) throttled(entered time.Time, pause time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if !entered.Before(g.eased) {
		g.limit, g.eased = max(g.limit/2, 1), now
	}
	if shut := now.Add(pause); shut.After(g.shut) {
		g.shut = shut
	}
}
