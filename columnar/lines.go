package columnar

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// DefaultMaxLine is the default limit on the length of a line, in bytes. Attachments are inline
// base64: servers send lines of tens of MB.
const DefaultMaxLine = 128 << 20

// Lines reads NDJSON in blocks of whole lines. It ignores white space around a line, a byte order
// mark, CRLF, blank lines and a missing last line end.
//
// A Lines belongs to one goroutine, or to one [Writer.Append]. How lines are divided into blocks
// depends on the NDJSON alone, not on how its reader splits it.
type Lines struct {
	r      io.Reader
	max    int
	size   int    // of a block, in bytes; a longer line is a block of its own
	ahead  []byte // what was read beyond the last block
	memory []byte // of ahead
	err    error  // the reader's; it comes after ahead
	left   block  // the lines of the last block that were not taken

	number int64    // lines before what comes next
	offset int64    // bytes before what comes next
	pos    Position // after the furthest line taken; all lines before it are done when Append returns
	taken  int64    // offset at the last call of since
	within bool     // the last line was too long, and its end is not read yet
}

// Position is a place between two lines of an NDJSON file. The zero Position is the beginning.
type Position struct {
	Lines int64 `json:"lines"` // lines before it, blank ones included
	Bytes int64 `json:"bytes"` // bytes of NDJSON before it, byte order mark and line ends included
}

// ReadAhead is the maximum number of bytes that a Lines has read from its reader beyond
// [Lines.Position]: a block. A block of this size stays in a core's cache while it is converted.
const ReadAhead = 256 << 10

// slack is what a line may have in addition to max bytes: a byte order mark and its line end.
const slack = len("\uFEFF\r\n")

// NewLines reads lines of up to max bytes from r, not counting line ends. A max of 0 means
// [DefaultMaxLine].
func NewLines(r io.Reader, max int) *Lines { return NewLinesAt(r, max, Position{}) }

// NewLinesAt is NewLines for a reader that starts at a position of its file: lines have the
// numbers and offsets that they have in the file. It is up to the caller to make sure that r
// starts there and that the file is still the same. A byte order mark is recognized only at
// byte 0.
func NewLinesAt(r io.Reader, max int, at Position) *Lines {
	if max <= 0 {
		max = DefaultMaxLine
	}
	return &Lines{r: r, max: max, size: ReadAhead, number: at.Lines, offset: at.Bytes, pos: at, taken: at.Bytes}
}

// Position returns where to continue with [NewLinesAt] after Append has returned without an
// error: after the last line that Append took or, once it has met the end of the file, after
// everything. Blank lines that follow may be before or after it. It is never within a line,
// whatever failed: it stays before a line that the reader broke off, and before a line that is
// too long until quarantine has read to the line's end.
//
// The reader is ahead of Position by up to [ReadAhead] bytes. A caller that keeps a hash of the
// file up to here must hold those back. The reader's own Read may call Position, too, to show
// progress.
func (l *Lines) Position() Position { return l.pos }

// block returns the next lines, or [io.EOF] at the end. The lines are in memory, which may be
// nil, if that is large enough. Any other error is the reader's or ctx's, or a [*DataError] for a
// line that is too long: then the block is the line's beginning, and restOfLine reads its end.
// The next block can be requested whether or not anybody has read that.
func (l *Lines) block(ctx context.Context, memory []byte) (b block, err error) {
	if l.within {
		if _, err := io.Copy(io.Discard, l.restOfLine(ctx)); err != nil {
			return block{memory: memory}, err
		}
	}
	b, l.left = l.left, block{}
	if len(b.lines) == 0 {
		if b, err = l.read(ctx, memory); err != nil {
			return b, err
		}
	}
	l.number = b.number + int64(bytes.Count(b.lines, []byte{'\n'}))
	if b.lines[len(b.lines)-1] != '\n' {
		l.number++
	}
	l.offset = b.end()
	return b, nil
}

// read reads a block. The block ends at the last line end within l.size bytes or, if there is
// none, at the next one.
func (l *Lines) read(ctx context.Context, memory []byte) (b block, err error) {
	read := append(memory[:0], l.ahead...)
	for l.err == nil && len(read) < l.size && err == nil {
		read, err = l.more(ctx, read, l.size)
	}
	end := bytes.LastIndexByte(read, '\n') + 1
	for l.err == nil && end == 0 && len(read) <= l.max+slack && err == nil {
		have := len(read)
		read, err = l.more(ctx, read, min(have+l.size, l.max+slack+1))
		if i := bytes.IndexByte(read[have:], '\n'); i >= 0 {
			end = have + i + 1
		}
	}
	b = block{memory: read, max: l.max, number: l.number, offset: l.offset}
	if err != nil { // keep what was read for the next call
		l.hold(read)
		return b, err
	}
	if l.err == io.EOF {
		end = len(read)
	}
	if end == 0 && l.err == nil {
		l.within = true
		l.hold(nil)
		l.number++
		l.offset += int64(len(read))
		b.lines = read
		return b, errTooLong(l.number, b.offset, l.max)
	}
	l.hold(read[end:])
	if end == 0 {
		return b, l.err
	}
	b.lines = read[:end]
	return b, nil
}

// hold keeps what was read beyond a block: mostly less than a line.
func (l *Lines) hold(b []byte) {
	if len(b) > cap(l.memory) {
		l.memory = make([]byte, 0, 2*len(b))
	}
	l.memory = append(l.memory[:0], b...)
	l.ahead = l.memory
}

// more appends to read from the reader, up to a length of limit. It waits for the reader once.
// An error is ctx's; the reader's goes to l.err.
func (l *Lines) more(ctx context.Context, read []byte, limit int) ([]byte, error) {
	if ctx.Err() != nil {
		return read, context.Cause(ctx)
	}
	if len(read) == cap(read) {
		read = append(make([]byte, 0, max(l.size, min(2*cap(read), l.max+slack+1))), read...)
	}
	var n int
	for range 100 { // as bufio does
		n, l.err = l.r.Read(read[len(read):min(cap(read), limit)])
		if some := n > 0 || l.err != nil; some {
			return read[:len(read)+n], nil
		}
	}
	l.err = io.ErrNoProgress
	return read, nil
}

// leave ends the use of a block. Lines not taken from the block come again, but only from the
// last block read: for any other, ok is false, and the caller must finish it. The memory that
// leave returns is free for reuse.
func (l *Lines) leave(b block) (memory []byte, ok bool) {
	if b.pos.Bytes > l.pos.Bytes {
		l.pos = b.pos
	}
	if len(b.lines) == 0 {
		return b.memory, true
	}
	if b.end() != l.offset {
		return nil, false
	}
	l.left, l.number, l.offset = b, b.number, b.offset
	return nil, true
}

// ended reports whether the reader has no more.
func (l *Lines) ended() bool { return l.err != nil && len(l.ahead) == 0 }

// restOfLine returns a reader for the rest of a line that is too long, line end included.
func (l *Lines) restOfLine(ctx context.Context) io.Reader { return restOfLine{ctx, l} }

type restOfLine struct {
	ctx context.Context
	l   *Lines
}

// Read implements [io.Reader].
func (r restOfLine) Read(p []byte) (int, error) {
	l := r.l
	if !l.within {
		return 0, io.EOF
	}
	if len(l.ahead) == 0 && l.err == nil {
		if cap(l.memory) < l.size {
			l.memory = make([]byte, 0, l.size)
		}
		var err error
		if l.ahead, err = l.more(r.ctx, l.memory[:0], l.size); err != nil {
			return 0, err
		}
	}
	if len(l.ahead) == 0 {
		if l.err == io.EOF {
			l.within = false
			l.done()
		}
		return 0, l.err
	}
	piece := l.ahead[:min(len(p), len(l.ahead))]
	if i := bytes.IndexByte(piece, '\n'); i >= 0 {
		piece, l.within = piece[:i+1], false
	}
	n := copy(p, piece)
	l.ahead = l.ahead[n:]
	l.offset += int64(n)
	if !l.within {
		l.done()
	}
	return n, nil
}

// done moves the position to the current offset: everything before it has been handled.
func (l *Lines) done() { l.pos = Position{Lines: l.number, Bytes: l.offset} }

func errTooLong(number, offset int64, max int) error {
	return &DataError{Line: number, Offset: offset, Reason: fmt.Sprintf("the line is longer than %d bytes", max)}
}

// since returns the number of bytes handed out since the last call.
func (l *Lines) since() int64 {
	n := l.offset - l.taken
	l.taken = l.offset
	return n
}
