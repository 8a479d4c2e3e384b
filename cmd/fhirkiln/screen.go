package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// screen is the terminal with, perhaps, some status lines at its bottom, which all else
// pushes down instead of tearing them apart. Safe for concurrent use.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	width int
	size  func() int // asks the terminal for its width now; nil keeps width
	lines []string   // drawn now; the cursor is at the end of the last one
}

// mostLines is how many status lines are drawn, so that they do not fill the terminal:
// what has scrolled out of it could not be erased.
const mostLines = 12

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

// above calls write, which writes whole lines to a terminal that may be this one.
func (s *screen) above(write func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.erase()
	write()
	s.draw(lines)
}

// status draws the status lines anew.
func (s *screen) status(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size != nil {
		if w := s.size(); w > 0 {
			s.width = w
		}
	}
	if more := len(lines) - mostLines; more > 0 {
		lines = append(lines[:mostLines-1:mostLines-1], fmt.Sprintf("and %d more", more+1))
	}
	fitting := make([]string, len(lines))
	for i, line := range lines {
		fitting[i] = fit(line, s.width-1) // a line that wraps could not be erased
	}
	s.erase()
	s.draw(fitting)
}

// fit drops fields at a line's end, which two blanks set apart, until width holds it: half
// a number would be read as a whole one.
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

// clear takes the status lines away.
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
