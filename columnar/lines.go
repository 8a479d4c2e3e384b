package columnar

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// DefaultMaxLine is how long a line may be unless the caller says otherwise, in bytes.
// Attachments are in-line base64: servers send lines of tens of MB.
const DefaultMaxLine = 128 << 20

// Lines cuts NDJSON into lines. White space around a line, a byte order mark, CRLF,
// blank lines and a missing last line end are passed over.
//
// A Lines belongs to one goroutine. Its memory is the longest line.
type Lines struct {
	r      *bufio.Reader
	max    int
	long   []byte // a line that is longer than r's buffer
	number int64
	offset int64    // of what was taken from r
	behind Position // the last line that is done
	taken  int64    // offset at the last call of since
	within bool     // the last line was too long, and its end is not read yet
}

// Position is a place between two lines of an NDJSON file. The zero Position is the
// begin.
type Position struct {
	Lines int64 `json:"lines"` // before it, blank ones too
	Bytes int64 `json:"bytes"` // before it: of the NDJSON, a byte order mark and line ends included
}

// ReadAhead is how many bytes behind its [Lines.Position] a Lines has read from its
// reader at most.
const ReadAhead = 256 << 10

// slack is what a line may have beside its max bytes: a byte order mark and its end.
const slack = len("\uFEFF\r\n")

// NewLines reads lines of up to max bytes from r, line ends not counted; 0 is
// [DefaultMaxLine].
func NewLines(r io.Reader, max int) *Lines { return NewLinesAt(r, max, Position{}) }

// NewLinesAt is NewLines for a reader that starts at a place of its file, to go on from
// there: lines have the numbers and offsets that they have in the file. That r does
// start there, and that the file is still the same one, is for the caller to prove. A
// byte order mark is only looked for at byte 0.
func NewLinesAt(r io.Reader, max int, at Position) *Lines {
	if max <= 0 {
		max = DefaultMaxLine
	}
	return &Lines{r: bufio.NewReaderSize(r, ReadAhead), max: max, number: at.Lines, offset: at.Bytes, behind: at, taken: at.Bytes}
}

// Position is where to go on with [NewLinesAt] once all that was handed out is dealt
// with: behind the last line that was, and before blank lines that follow it; at the
// end of the file, once that was met, behind everything. It never lies within a line,
// whatever failed: a line that the reader broke off is not behind it, nor one that is
// too long as long as quarantine has not read to its end.
//
// The reader is further than that, by up to [ReadAhead] bytes. Who keeps a hash of the
// file up to here must hold those back.
func (l *Lines) Position() Position { return l.behind }

// line is one line that is not blank. Its bytes are good until the next call of next.
type line struct {
	bytes  []byte
	number int64 // counted from 1, blank lines too
	offset int64 // of its first byte
}

// next returns the next line, or [io.EOF] at the end. Any other error is the reader's,
// or a [*DataError] for a line that is too long: then the line's begin is returned with
// it, and restOfLine has its end. The next line can be asked for all the same.
func (l *Lines) next() (line, error) {
	if l.within {
		if _, err := io.Copy(io.Discard, l.restOfLine()); err != nil {
			return line{}, err
		}
	}
	for {
		start := l.offset
		raw, err := l.raw()
		if err != nil && (err != io.EOF || len(raw) == 0) {
			if err == io.EOF {
				l.number-- // there was no such line
				l.done()
			}
			return line{bytes: raw, number: l.number, offset: start}, err
		}
		if start == 0 {
			raw = bytes.TrimPrefix(raw, []byte("\uFEFF"))
		}
		trimmed := bytes.Trim(raw, " \t\r\n")
		if len(trimmed) > 0 {
			l.done()
		}
		if len(trimmed) > l.max {
			return line{bytes: trimmed, number: l.number, offset: start}, l.tooLong(start)
		}
		if len(trimmed) > 0 {
			return line{bytes: trimmed, number: l.number, offset: start}, nil
		}
	}
}

// raw returns the next line with its end, as far as it has one.
func (l *Lines) raw() ([]byte, error) {
	l.long = l.long[:0]
	l.number++
	for {
		piece, err := l.r.ReadSlice('\n')
		start := l.offset - int64(len(l.long))
		l.offset += int64(len(piece))
		if full := errors.Is(err, bufio.ErrBufferFull); full || len(l.long) > 0 {
			l.long = append(l.long, piece...)
			if len(l.long)-slack > l.max && (full || err == nil || err == io.EOF) {
				if l.within = full; !full {
					l.done()
				}
				return l.long, l.tooLong(start)
			}
			if full {
				continue
			}
			piece = l.long
		}
		return piece, err
	}
}

// restOfLine reads what is left of a line that is too long, its end included.
func (l *Lines) restOfLine() io.Reader { return restOfLine{l} }

type restOfLine struct{ l *Lines }

// Read implements [io.Reader].
func (r restOfLine) Read(p []byte) (int, error) {
	l := r.l
	if !l.within {
		return 0, io.EOF
	}
	if _, err := l.r.Peek(1); err != nil {
		if err == io.EOF {
			l.within = false
			l.done()
		}
		return 0, err
	}
	piece, _ := l.r.Peek(min(len(p), l.r.Buffered()))
	if i := bytes.IndexByte(piece, '\n'); i >= 0 {
		piece, l.within = piece[:i+1], false
	}
	n := copy(p, piece)
	l.offset += int64(n)
	if !l.within {
		l.done()
	}
	_, err := l.r.Discard(n)
	return n, err
}

// done says that the last line has been taken to its end.
func (l *Lines) done() { l.behind = Position{Lines: l.number, Bytes: l.offset} }

func (l *Lines) tooLong(offset int64) error {
	return &DataError{Line: l.number, Offset: offset, Reason: fmt.Sprintf("the line is longer than %d bytes", l.max)}
}

// since returns how many bytes were read since the last call.
func (l *Lines) since() int64 {
	n := l.offset - l.taken
	l.taken = l.offset
	return n
}
