package bulktest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"
)

// maxLine is the longest line that filters and counting take, in bytes.
const maxLine = 64 << 20

// Data is what a [Server] exports. Implementations must be safe for concurrent use.
type Data interface {
	// Files are the output files in the order in which the manifest lists them. What they
	// hold must stay the same as long as an export that began with them can be fetched.
	Files() []File
}

// File is one NDJSON file of one resource type.
type File struct {
	// Type is the manifest's type.
	Type string

	// Count is the number of resources (lines that are not blank), which the manifest
	// will state; negative if only reading the file tells, which the server then does once
	// per kick-off.
	Count int

	// Open returns a fresh reader of plain NDJSON from its start. It is called many
	// times, concurrently.
	Open func() (io.ReadCloser, error)

	// Changed, if set, is what the server has written down of when a line's resource was
	// changed last, for _since and _until to go by, and in [Options].Deleted of when it was
	// deleted; the zero time is not known. It is called as Open's readers are read. Nil: a
	// resource's own meta.lastUpdated tells, and of what was deleted nothing does.
	Changed func(line []byte) time.Time

	// counted, if set, keeps what reading the file told, plus one.
	counted *atomic.Int64
}

// Files is [Data] that is known beforehand.
type Files []File

// Files returns f.
func (f Files) Files() []File { return f }

// Lines is a file in memory, each line ended by a newline.
func Lines(typ string, lines ...string) File {
	var text strings.Builder
	count := 0
	for _, line := range lines {
		text.WriteString(line)
		text.WriteByte('\n')
		if strings.TrimSpace(line) != "" {
			count++
		}
	}
	return File{Type: typ, Count: count, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text.String())), nil
	}}
}

// known is the file's count if it need not be read for it, else -1.
func (f File) known() int {
	if f.Count < 0 && f.counted != nil {
		return int(f.counted.Load()) - 1
	}
	return f.Count
}

// lineReader reads lines of any length up to maxLine.
type lineReader struct {
	r      *bufio.Reader
	buf    []byte // a line longer than r's buffer
	number int    // of the line that was read last, from 1
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 128<<10)}
}

// next is the next line that is not blank, without its newline, good until the call
// after; io.EOF after the last.
func (l *lineReader) next() ([]byte, error) {
	for {
		line, err := l.line()
		if err != nil || len(bytes.TrimSpace(line)) > 0 {
			return line, err
		}
	}
}

func (l *lineReader) line() ([]byte, error) {
	l.number++
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		switch {
		case len(l.buf)+len(part) > maxLine+1:
			return nil, fmt.Errorf("line %d is longer than %d bytes", l.number, maxLine)
		case err == nil && len(l.buf) == 0:
			return part[:len(part)-1], nil
		case err == nil:
			l.buf = append(l.buf, part...)
			return l.buf[:len(l.buf)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			l.buf = append(l.buf, part...)
		case errors.Is(err, io.EOF) && len(l.buf)+len(part) > 0:
			l.buf = append(l.buf, part...)
			return l.buf, nil
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		default:
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
	}
}
