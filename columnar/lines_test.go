package columnar

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// bufferSize is how long a line may be before it needs a larger block.
const bufferSize = ReadAhead

// found is a copy of a line, which stays valid.
type found struct {
	Text           string
	Number, Offset int64
}

// all reads all lines. At the end, the error is nil.
func all(l *Lines) ([]found, error) {
	var (
		lines  []found
		memory []byte
	)
	for {
		b, err := l.block(context.Background(), memory)
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		for {
			line, err := b.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return lines, err
			}
			lines = append(lines, found{string(line.bytes), line.number, line.offset})
		}
		memory, _ = l.leave(b)
	}
}

// readers are different ways to read the same bytes.
var readers = map[string]func(io.Reader) io.Reader{
	"whole":             func(r io.Reader) io.Reader { return r },
	"byte by byte":      iotest.OneByteReader,
	"in halves":         iotest.HalfReader,
	"the end with data": iotest.DataErrReader,
}

func TestLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", bufferSize+1)
	exact := strings.Repeat("y", bufferSize)
	for _, tt := range []struct {
		name, ndjson string
		want         []found
	}{
		{"nothing", "", nil},
		{"one line", "a\n", []found{{"a", 1, 0}}},
		{"no last line end", "a\nb", []found{{"a", 1, 0}, {"b", 2, 2}}},
		{"CRLF", "a\r\nb\r\n", []found{{"a", 1, 0}, {"b", 2, 3}}},
		{"CR without LF is no end", "a\rb\n", []found{{"a\rb", 1, 0}}},
		{"blank lines", "\n\r\n\na\n\n\nb\n\n", []found{{"a", 4, 4}, {"b", 7, 8}}},
		{"lines of white space", "  \n\t\na\n \t \r\n   b\n  ", []found{{"a", 3, 5}, {"b", 5, 12}}},
		{"white space around", " \ta \t\r\n b", []found{{"a", 1, 0}, {"b", 2, 7}}},
		{"other white space stays", "\u00a0a\v\n", []found{{"\u00a0a\v", 1, 0}}},
		{"byte order mark", "\uFEFFa\nb\n", []found{{"a", 1, 0}, {"b", 2, 5}}},
		{"byte order mark and white space", "\uFEFF \n a\n", []found{{"a", 2, 5}}},
		{"byte order mark alone", "\uFEFF", nil},
		{"byte order mark, CRLF", "\uFEFF\r\n\uFEFFa\n", []found{{"\uFEFFa", 2, 5}}},
		{"half a byte order mark", "\xef\xbb\na", []found{{"\xef\xbb", 1, 0}, {"a", 2, 3}}},
		{"byte order marks after the first line stay", "a\n\uFEFFb\n", []found{{"a", 1, 0}, {"\uFEFFb", 2, 2}}},
		{"longer than the buffer", long + "\na\n" + long + "\r\n" + long, []found{
			{long, 1, 0}, {"a", 2, bufferSize + 2}, {long, 3, bufferSize + 4}, {long, 4, 2*bufferSize + 7},
		}},
		{"as long as the buffer", exact + "\n" + exact[1:] + "\n" + exact + "\r\n" + exact, []found{
			{exact, 1, 0}, {exact[1:], 2, bufferSize + 1}, {exact, 3, 2*bufferSize + 1}, {exact, 4, 3*bufferSize + 3},
		}},
	} {
		for how, reader := range readers {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				t.Parallel()
				for _, size := range []int{ReadAhead, 1, 2, 5} {
					lines := NewLines(reader(strings.NewReader(tt.ndjson)), 0)
					lines.SetBlock(size)
					got, err := all(lines)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Errorf("lines of blocks of %d bytes (-want +got):\n%.1000s", size, diff)
					}
					if _, err := lines.block(t.Context(), nil); err != io.EOF {
						t.Errorf("after the end: %v", err)
					}
					if n := lines.since(); n != int64(len(tt.ndjson)) {
						t.Errorf("%d bytes were read, not %d", n, len(tt.ndjson))
					}
					if n := lines.since(); n != 0 {
						t.Errorf("%d bytes were read since", n)
					}
				}
			})
		}
	}
}

func TestLinesMax(t *testing.T) {
	t.Parallel()
	for _, max := range []int{1, 10, bufferSize - 1, bufferSize, bufferSize + 1, 2*bufferSize - 1, 3 * bufferSize} {
		exact := strings.Repeat("x", max)
		for _, end := range []string{"", "\n", "\r\n"} {
			lines := NewLines(strings.NewReader("\uFEFF"+exact+"\n\n"+exact+end), max)
			got, err := all(lines)
			if err != nil || len(got) != 2 || got[1].Text != exact {
				t.Errorf("two lines of %d bytes, the last one with the end %q: %d lines, %v", max, end, len(got), err)
			}

			lines = NewLines(strings.NewReader("a\n\r\n"+exact+"x"+end), max)
			got, err = all(lines)
			var e *DataError
			if len(got) != 1 || !errors.As(err, &e) {
				t.Errorf("a line of %d bytes and one: %d lines, %v", max, len(got), err)
				continue
			}
			if e.Line != 3 || e.Offset != 4 || !strings.Contains(e.Reason, "longer than") || strings.Contains(err.Error(), "xx") {
				t.Errorf("the error of a line of %d bytes and one is %v", max, err)
			}
		}
	}
}

// endless reads as one line without an end.
type endless struct{ given int }

func (r *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	r.given += len(p)
	return len(p), nil
}

func TestLinesStopAtMax(t *testing.T) {
	t.Parallel()
	const max = 1 << 20
	r := new(endless)
	_, err := NewLines(r, max).block(t.Context(), nil)
	if e := new(DataError); !errors.As(err, &e) || *e != (DataError{Line: 1, Reason: "the line is longer than 1048576 bytes"}) {
		t.Errorf("the error is %v", err)
	}
	if r.given > max+2*bufferSize {
		t.Errorf("%d bytes were read of a line that may have %d", r.given, max)
	}
}

func TestLinesReaderFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, tt := range []struct {
		name, before string
		want         []found
	}{
		{"at once", "", nil},
		{"between lines", "a\nb\n", []found{{"a", 1, 0}, {"b", 2, 2}}},
		// The beginning of a line must not pass for the line.
		{"in a line", "a\nbc", []found{{"a", 1, 0}}},
		{"in a long line", "a\n" + strings.Repeat("b", 2*bufferSize+1), []found{{"a", 1, 0}}},
	} {
		for _, cause := range []error{broken, io.ErrUnexpectedEOF} {
			r := io.MultiReader(strings.NewReader(tt.before), iotest.ErrReader(cause))
			got, err := all(NewLines(r, 0))
			if !errors.Is(err, cause) || errors.As(err, new(*DataError)) {
				t.Errorf("%s: the error is %v, not the reader's", tt.name, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: lines (-want +got):\n%s", tt.name, diff)
			}
		}
	}
}

// inPieces reads a file in pieces of these sizes, over and over.
type inPieces struct {
	file  *bytes.Reader
	sizes []int
	n     int
}

func (r *inPieces) Read(p []byte) (int, error) {
	size := r.sizes[r.n%len(r.sizes)]
	r.n++
	return r.file.Read(p[:min(size, len(p))])
}

// However lines are joined and read, the same lines come back, with the same numbers and offsets.
func TestLinesProperty(t *testing.T) {
	t.Parallel()
	text := rapid.Custom(func(t *rapid.T) string {
		s := rapid.StringMatching(`[a-z \t\r\x{FEFF}\x{4E16}]{0,20}`).Draw(t, "text")
		if rapid.IntRange(0, 19).Draw(t, "long") == 0 {
			s += strings.Repeat("x", bufferSize+rapid.IntRange(-30, 30).Draw(t, "more"))
		}
		return "{" + s + "}"
	})
	space := rapid.StringMatching(`[ \t\r]{0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		var (
			ndjson bytes.Buffer
			want   []found
			count  = rapid.IntRange(0, 30).Draw(t, "count")
		)
		if rapid.Bool().Draw(t, "byte order mark") {
			ndjson.WriteString("\uFEFF")
		}
		for i := range count {
			offset := int64(ndjson.Len())
			if i == 0 {
				offset = 0 // the mark is part of the first line
			}
			ndjson.WriteString(space.Draw(t, "before"))
			if rapid.IntRange(0, 4).Draw(t, "blank") > 0 {
				s := text.Draw(t, "line")
				want = append(want, found{s, int64(i + 1), offset})
				ndjson.WriteString(s)
			}
			ndjson.WriteString(space.Draw(t, "behind"))
			if i < count-1 || rapid.Bool().Draw(t, "last line end") {
				ndjson.WriteString("\n")
			}
		}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 100_000), 1, 5).Draw(t, "sizes")
		size := rapid.SampledFrom([]int{1, 10, 50, 200, ReadAhead}).Draw(t, "block")
		lines := NewLines(&inPieces{file: bytes.NewReader(ndjson.Bytes()), sizes: sizes}, 0)
		lines.SetBlock(size)
		got, err := all(lines)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines (-want +got):\n%.1000s", diff)
		}
		if n := lines.since(); n != int64(ndjson.Len()) {
			t.Errorf("%d bytes were read, not %d", n, ndjson.Len())
		}
		whole := NewLines(bytes.NewReader(ndjson.Bytes()), 0)
		whole.SetBlock(size)
		again := NewLines(&inPieces{file: bytes.NewReader(ndjson.Bytes()), sizes: sizes}, 0)
		again.SetBlock(size)
		if want, got := blocks(t, whole), blocks(t, again); !slices.Equal(want, got) {
			t.Errorf("blocks end at %d if the file comes whole, and at %d in pieces", want, got)
		}
	})
}

// blocks returns where a file's blocks end.
func blocks(t *rapid.T, l *Lines) (ends []int64) {
	for {
		b, err := l.block(t.Context(), nil)
		if err == io.EOF {
			return ends
		}
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, b.end())
		b.lines = nil
		l.leave(b)
	}
}
