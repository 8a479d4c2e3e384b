package columnar

import (
	"bytes"
	"io"
)

// block is a sequence of whole lines of an NDJSON file.
type block struct {
	memory []byte   // backs lines
	lines  []byte   // those not yet taken, line ends included
	max    int      // maximum bytes of a line
	number int64    // lines of the file before lines
	offset int64    // bytes of the file before lines
	pos    Position // after the last line taken; zero before the first
}

// line is one line that is not blank. Its bytes are valid as long as its block's memory.
type line struct {
	bytes  []byte
	number int64 // counted from 1, blank lines included
	offset int64 // of its first byte
}

// end returns the offset at which the block ends in the file.
func (b *block) end() int64 { return b.offset + int64(len(b.lines)) }

// next takes the next line, or returns [io.EOF] after the last one. A line that is too long is
// returned untrimmed, with its line end, and with a [*DataError].
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
		b.pos = Position{Lines: b.number, Bytes: b.offset}
		if tooLong {
			return line{bytes: raw, number: b.number, offset: start}, errTooLong(b.number, start, b.max)
		}
		return line{bytes: text, number: b.number, offset: start}, nil
	}
	b.pos = Position{Lines: b.number, Bytes: b.offset}
	return line{}, io.EOF
}

// trimSpace trims JSON's white space. Unlike bytes.Trim, it builds no cutset for each line.
func trimSpace(b []byte) []byte {
	i := skipSpace(b, 0)
	for len(b) > i && b[len(b)-1] <= ' ' && skipSpace(b, len(b)-1) == len(b) {
		b = b[:len(b)-1]
	}
	return b[i:]
}
