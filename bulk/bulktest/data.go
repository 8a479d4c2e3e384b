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

// maxLine is the maximum length of a line for filters and counting, in bytes.
const maxLine = 64 << 20

// Data is what a [Server] exports. Implementations must be safe for concurrent use.
type Data interface {
	// Files returns the output files in the order of the manifest. Their content must not
	// change while an export that began with them can be fetched.
	Files() []File
}

// File is one NDJSON file of one resource type.
type File struct {
	// Type is the type in the manifest.
	Type string

	// Count is the number of resources (non-blank lines), as stated by the manifest. If it
	// is negative, the server reads the file once per kick-off to count them.
	Count int

	// Open returns a new reader of plain NDJSON from the start. It is called many times,
	// concurrently.
	Open func() (io.ReadCloser, error)

	// Changed, if set, returns when the server recorded the last change of a line's
	// resource, for _since and _until, or for [Options].Deleted its deletion. The zero time
	// means unknown. It is called while Open's readers are read. If it is nil, the
	// resource's meta.lastUpdated counts, and times of deletions are unknown.
	Changed func(line []byte) time.Time

	// counted, if set, caches the number of lines found by reading the file, plus one.
	counted *atomic.Int64
}

// Files is a fixed list of files as [Data].
type Files []File

// Files returns f.
func (f Files) Files() []File { return f }

// Lines returns a file in memory. It ends each line with a newline.
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

// known returns the file's count if it is known without reading the file, else -1.
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
	number int    // of the line read last, from 1
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 128<<10)}
}

// next returns the next non-blank line, without its newline, or io.EOF after the last. The line
// is valid until the next call.
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
