package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fhirkiln/pipeline"
)

// board shows the progress of the active runs, one line each. Safe for concurrent use.
type board struct {
	screen *screen

	mu    sync.Mutex
	rows  []*boardRow // in the order in which the runs began
	stop  chan struct{}
	ended chan struct{}
}

type boardRow struct {
	feed     string
	progress *pipeline.Progress
}

// add shows a run until remove is called.
func (b *board) add(feed string, p *pipeline.Progress) (remove func()) {
	row := &boardRow{feed, p}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, row)
	if b.stop == nil {
		b.stop, b.ended = make(chan struct{}), make(chan struct{})
		go b.draw(b.stop, b.ended)
	}
	return func() { b.remove(row) }
}

func (b *board) remove(row *boardRow) {
	b.mu.Lock()
	b.rows = slices.DeleteFunc(b.rows, func(other *boardRow) bool { return other == row })
	stop, ended := b.stop, b.ended
	last := len(b.rows) == 0
	if last {
		b.stop, b.ended = nil, nil
	}
	b.mu.Unlock()
	if last {
		close(stop)
		<-ended
	}
}

func (b *board) draw(stop, ended chan struct{}) {
	defer close(ended)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			b.screen.clear()
			return
		case now := <-tick.C:
			b.screen.status(b.lines(now)...)
		}
	}
}

func (b *board) lines(now time.Time) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	wide := 0
	for _, r := range b.rows {
		wide = max(wide, len(r.feed))
	}
	lines := make([]string, len(b.rows))
	for i, r := range b.rows {
		lines[i] = statusLine(fmt.Sprintf("%-*s", wide, r.feed), r.progress.Snapshot(), now)
	}
	return lines
}

// statusLine is the live line of a run: phase, files, resources, ETA, bytes, rate.
func statusLine(feed string, s pipeline.Snapshot, now time.Time) string {
	elapsed := now.Sub(s.Since)
	parts := []string{feed, string(s.Phase)}
	if s.Phase == pipeline.Converting {
		parts = append(parts, fmt.Sprintf("%d/%d files", s.FilesDone, s.Files))
		if s.Expected > 0 {
			parts = append(parts, fmt.Sprintf("%s of %s resources", count(s.Resources), count(s.Expected)))
		} else {
			parts = append(parts, count(s.Resources)+" resources")
		}
		if done := s.Resources - s.ResourcesBefore; s.Expected > 0 && done > 0 && elapsed > time.Second {
			left := time.Duration(float64(elapsed) * float64(s.Expected-s.Resources) / float64(done))
			parts = append(parts, "ETA "+max(left, 0).Round(time.Second).String()) // before what a narrow terminal can drop
		}
		parts = append(parts, size(s.Bytes), size(int64(float64(s.Bytes-s.BytesBefore)/max(elapsed.Seconds(), 0.1)))+"/s")
		return strings.Join(parts, "  ")
	}
	switch {
	case s.Phase == "": // taking the feed's lease
		return feed + "  preparing"
	case s.Phase == pipeline.Queued:
		parts = append(parts, "behind another export of the source")
	case s.Said != "":
		parts = append(parts, s.Said)
	}
	return strings.Join(append(parts, elapsed.Round(time.Second).String()), "  ")
}
