package columnar

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// DefaultMaxLine is how long a line may be unless the caller says otherwise, in bytes.
// Attachments are in-line base64: servers send lines of tens of MB.
const DefaultMaxLine = 128 << 20

// Lines reads NDJSON in blocks of whole lines. White space around a line, a byte order
// mark, CRLF, blank lines and a missing last line end are passed over.
//
// A Lines belongs to one goroutine, or to one [Writer.Append]. What is in which block
// depends on the NDJSON alone, not on how its reader cuts it.
type Lines struct {
	r      io.Reader
	max    int
	size   int    // of a block, in bytes; a line that is longer is a block of its own
	ahead  []byte // what was read behind the last block
	memory []byte // of ahead
	err    error  // the reader's, which comes behind ahead
	left   block  // what was not dealt with of the last block

	number int64    // lines before what comes next
	offset int64    // bytes before it
	behind Position // the furthest line that was taken; those before it are done when Append returns
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
// reader at most: a block. While one is dealt with, what it holds stays in a core's cache.
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
	return &Lines{r: r, max: max, size: ReadAhead, number: at.Lines, offset: at.Bytes, behind: at, taken: at.Bytes}
}

// Position is where to go on with [NewLinesAt] once Append has come back without an
// error: behind the last line that it took; at the end of the file, once that was met,
// behind everything. Blank lines that follow may be before it or behind it. It never lies
// within a line, whatever failed: a line that the reader broke off is not behind it, nor
// one that is too long as long as quarantine has not read to its end.
//
// The reader is further than that, by up to [ReadAhead] bytes. Who keeps a hash of the
// file up to here must hold those back. The reader's own Read may call it too, to show
// progress.
func (l *Lines) Position() Position { return l.behind }

// block returns the next lines, or [io.EOF] at the end; they are in memory, which may be
// nil, as far as that is enough. Any other error is the reader's or ctx's, or a
// [*DataError] for a line that is too long: then the block is that line's begin, and
// restOfLine has its end. The next block can be asked for all the same.
func (l *Lines) block(ctx context.Context, memory []byte) (b block, err error) {
	if l.within {
		if _, err := io.Copy(io.Discard, l.restOfLine()); err != nil {
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

// read reads a block. It ends with the last line end that is not further than l.size
// from its begin or, if there is none, with the next one.
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
	if err != nil { // what was read comes again, for whoever goes on
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

// hold keeps what was read behind a block: less than a line, mostly.
func (l *Lines) hold(b []byte) {
	if len(b) > cap(l.memory) {
		l.memory = make([]byte, 0, 2*len(b))
	}
	l.memory = append(l.memory[:0], b...)
	l.ahead = l.memory
}

// more reads behind what there is, up to a length of limit, and waits for its reader
// once. An error is ctx's; the reader's is in l.err.
func (l *Lines) more(ctx context.Context, read []byte, limit int) ([]byte, error) {
	if ctx.Err() != nil {
		return read, context.Cause(ctx)
	}
	if len(read) == cap(read) {
		read = append(make([]byte, 0, max(l.size, min(2*cap(read), l.max+slack+1))), read...)
	}
	var n int
	for range 100 { // as bufio has it
		n, l.err = l.r.Read(read[len(read):min(cap(read), limit)])
		if some := n > 0 || l.err != nil; some {
			return read[:len(read)+n], nil
		}
	}
	l.err = io.ErrNoProgress
	return read, nil
}

// leave ends the use of a block. What is not taken of it comes again, which only the last
// block can have; ok is false if it is another one, which is to be finished. The memory
// that it returns is free again.
func (l *Lines) leave(b block) (memory []byte, ok bool) {
	if b.behind.Bytes > l.behind.Bytes {
		l.behind = b.behind
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

// ended says whether the reader has no more.
func (l *Lines) ended() bool { return l.err != nil && len(l.ahead) == 0 }

// restOfLine reads what is left of a line that is too long, its end included.
func (l *Lines) restOfLine() io.Reader { return restOfLine{l} }

type restOfLine struct{ l *Lines }

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
		l.ahead, _ = l.more(context.Background(), l.memory[:0], l.size) // whoever reads this looks at ctx
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

// done says that all before the present place is dealt with.
func (l *Lines) done() { l.behind = Position{Lines: l.number, Bytes: l.offset} }

func errTooLong(number, offset int64, max int) error {
	return &DataError{Line: number, Offset: offset, Reason: fmt.Sprintf("the line is longer than %d bytes", max)}
}

// since returns how many bytes were handed out since the last call.
func (l *Lines) since() int64 {
	n := l.offset - l.taken
	l.taken = l.offset
	return n
}
