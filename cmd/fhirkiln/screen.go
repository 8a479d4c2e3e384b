package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// screen is the terminal, with optional status lines at the bottom. Other output pushes them
// down instead of tearing them apart. Safe for concurrent use.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	width int
	size  func() int // returns the terminal's current width; if nil, width is fixed
	lines []string   // drawn now; the cursor is at the end of the last one
}

// maxLines bounds the status lines, so that they do not fill the terminal: lines that have
// scrolled out of it cannot be erased.
const maxLines = 12

const (
	eraseLine = "\r\x1b[K"
	lineUp    = "\x1b[A"
)

// Write implements [io.Writer] for whole log lines.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.erase()
	n, err := s.out.Write(p)
	s.draw(lines)
	return n, err
}

// above calls write, which writes whole lines, possibly to this terminal.
func (s *screen) above(write func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.erase()
	write()
	s.draw(lines)
}

// status redraws the status lines.
func (s *screen) status(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size != nil {
		if w := s.size(); w > 0 {
			s.width = w
		}
	}
	if more := len(lines) - maxLines; more > 0 {
		lines = append(lines[:maxLines-1:maxLines-1], fmt.Sprintf("and %d more", more+1))
	}
	fitting := make([]string, len(lines))
	for i, line := range lines {
		fitting[i] = fit(line, s.width-1) // a wrapped line could not be erased
	}
	s.erase()
	s.draw(fitting)
}

// fit drops whole fields, which two blanks separate, from the end of a line until it fits into
// width: half a number would look like a whole one.
func fit(line string, width int) string {
	r := []rune(line)
	if len(r) <= width {
		return line
	}
	whole := string(r[:width])
	if strings.HasPrefix(string(r[width:]), "  ") {
		return whole
	}
	if end := strings.LastIndex(whole, "  "); end > 0 {
		return strings.TrimRight(whole[:end], " ")
	}
	return whole
}

// clear removes the status lines.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

func (s *screen) draw(lines []string) {
	s.lines = lines
	if len(lines) > 0 {
		io.WriteString(s.out, strings.Join(lines, "\n"))
	}
}

func (s *screen) erase() {
	if len(s.lines) > 0 {
		io.WriteString(s.out, eraseLine+strings.Repeat(lineUp+eraseLine, len(s.lines)-1))
	}
	s.lines = nil
}
