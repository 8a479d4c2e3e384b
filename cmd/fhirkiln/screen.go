package main

import (
	"io"
	"sync"
)

// screen is stderr with, perhaps, a status line at its bottom, which log lines push
// down instead of tearing it apart. Safe for concurrent use.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	width int
	size  func() int // asks the terminal for its width now; nil keeps width
	line  string     // drawn now; "" is none
}

const eraseLine = "\r\x1b[K"

// Write implements [io.Writer] for whole log lines.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == "" {
		return s.out.Write(p)
	}
	io.WriteString(s.out, eraseLine)
	n, err := s.out.Write(p)
	io.WriteString(s.out, s.line)
	return n, err
}

// status draws the status line anew.
func (s *screen) status(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size != nil {
		if w := s.size(); w > 0 {
			s.width = w
		}
	}
	if r := []rune(line); len(r) >= s.width {
		line = string(r[:s.width-1]) // a line that wraps could not be erased
	}
	s.line = line
	io.WriteString(s.out, eraseLine+line)
}

// clear takes the status line away.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != "" {
		io.WriteString(s.out, eraseLine)
		s.line = ""
	}
}
