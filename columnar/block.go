package columnar

import (
	"bytes"
	"io"
)

// block is some whole lines of an NDJSON file.
type block struct {
	memory []byte // that lines are in
	lines  []byte // those that were not taken yet, with their ends
	max    int    // bytes of a line
	number int64  // lines of the file before them
	offset int64  // bytes of the file before them
	behind Position
}

// line is one line that is not blank. Its bytes are good as long as its block's memory.
type line struct {
	bytes  []byte
	number int64 // counted from 1, blank lines too
	offset int64 // of its first byte
}

// end is where the block ends in the file.
func (b *block) end() int64 { return b.offset + int64(len(b.lines)) }

// next takes the next line, or returns [io.EOF] behind the last one. One that is too long
// comes with a [*DataError], and as it is, with its end.
func (b *block) next() (line, error) {
	for len(b.lines) > 0 {
		start := b.offset
		end := bytes.IndexByte(b.lines, '\n') + 1
		if end == 0 {
			end = len(b.lines)
		}
		raw := b.lines[:end]
		b.lines = b.lines[end:]
		b.number++
		b.offset += int64(end)
		text := raw
		if start == 0 {
			text = bytes.TrimPrefix(text, []byte("\uFEFF"))
		}
		text = trimSpace(text)
		tooLong := len(raw) > b.max+slack || len(text) > b.max
		if len(text) == 0 && !tooLong {
			continue
		}
		b.behind = Position{Lines: b.number, Bytes: b.offset}
		if tooLong {
			return line{bytes: raw, number: b.number, offset: start}, errTooLong(b.number, start, b.max)
		}
		return line{bytes: text, number: b.number, offset: start}, nil
	}
	b.behind = Position{Lines: b.number, Bytes: b.offset}
	return line{}, io.EOF
}

// trimSpace cuts off JSON's white space. It is bytes.Trim without a set to make for each
// line.
func trimSpace(b []byte) []byte {
	i := skipSpace(b, 0)
	for len(b) > i && b[len(b)-1] <= ' ' && skipSpace(b, len(b)-1) == len(b) {
		b = b[:len(b)-1]
	}
	return b[i:]
}
