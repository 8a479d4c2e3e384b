package columnar_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirkiln/columnar"
)

// taken is what parts and quarantine have taken from a file.
type taken struct {
	rows []string // resources with their file and line, by part
	bad  quarantine
	read columnar.ReadStats

	early     bool // several lanes begin at once
	rowGroups int  // maximum that one call of part made
}

// part fills one part from lines and adds it. It says whether there is more.
func (k *taken) part(t failer, o columnar.Options, lines *columnar.Lines) bool {
	t.Helper()
	m := memory{}
	o.Create, o.Quarantine = m.create, k.bad.take
	w := columnar.NewWriter(o)
	if k.early {
		w.SetLaneBlocks(1)
	}
	read, err := w.Append(t.Context(), lines, &origin)
	if err != nil {
		t.Fatalf("appending: %v", err)
	}
	k.read.Resources += read.Resources
	k.read.Quarantined += read.Quarantined
	k.read.Bytes += read.Bytes
	groups := 0
	for _, p := range m.finish(t, w) {
		groups += len(open(t, p).RowGroups())
		for _, r := range rows(t, p) {
			k.rows = append(k.rows, strings.Join([]string{r.text("resourceType"), r.text("id"), r.text("__residual"), r.text("__origin.file"), r.text("__origin.line")}, " "))
		}
	}
	k.rowGroups = max(k.rowGroups, groups)
	return w.Full()
}

// Wherever a part became full, another process that resumes there makes the same rows of the rest,
// with the same origins, and quarantines the same lines.
func TestResumeProperty(t *testing.T) {
	t.Parallel()
	cuts, within := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var (
			input bytes.Buffer
			max   = rapid.SampledFrom([]int{0, 3000}).Draw(t, "longest line")
			o     = columnar.Options{
				TargetBytes:   rapid.Int64Range(1, 50_000).Draw(t, "target"),
				RowGroupBytes: rapid.Int64Range(1, 20_000).Draw(t, "row group"),
			}
		)
		drawNDJSON(t, &input, 8, 2000)

		var want, got taken
		once := columnar.NewLines(bytes.NewReader(input.Bytes()), max)
		for want.part(t, o, once) {
		}
		var at columnar.Position
		for more := true; more; cuts++ {
			lines := columnar.NewLinesAt(iotest.HalfReader(bytes.NewReader(input.Bytes()[at.Bytes:])), max, at)
			lines.SetBlock(rapid.SampledFrom([]int{10, 3000, columnar.ReadAhead}).Draw(t, "block"))
			more = got.part(t, o, lines)
			at = lines.Position()
			before := input.Bytes()[:at.Bytes]
			if n := int64(bytes.Count(before, []byte("\n"))); bytes.HasSuffix(before, []byte("\n")) && n != at.Lines {
				t.Errorf("%d bytes have %d lines, not %d", at.Bytes, n, at.Lines)
			}
			if at.Bytes < int64(input.Len()) && at.Bytes > 0 {
				within++
			}
		}
		if at != once.Position() || at.Bytes != int64(input.Len()) {
			t.Errorf("the end is %+v, not %+v, of %d bytes", at, once.Position(), input.Len())
		}
		if diff := cmp.Diff(want.rows, got.rows); diff != "" {
			t.Errorf("rows (-at once +resumed):\n%s", diff)
		}
		if diff := cmp.Diff(want.bad, got.bad); diff != "" {
			t.Errorf("quarantine (-at once +resumed):\n%s", diff)
		}
		if want.read != got.read || got.read.Bytes != int64(input.Len()) {
			t.Errorf("statistics: %+v and %+v", want.read, got.read)
		}
	})
	if within == 0 {
		t.Errorf("%d cuts of %d were within a file: the test covers too little", within, cuts)
	}
}

// drawNDJSON writes up to maxLines lines to b: resources of up to maxBytes random bytes each, and
// other things that servers send.
func drawNDJSON(t *rapid.T, b *bytes.Buffer, maxLines, maxBytes int) {
	random := rand.NewChaCha8([32]byte{})
	if rapid.Bool().Draw(t, "byte order mark") {
		b.WriteString("\uFEFF")
	}
	for i := range rapid.IntRange(0, maxLines).Draw(t, "lines") {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			b.WriteString(rapid.SampledFrom([]string{"", " ", "\r", "\uFEFF", "[]", "{", strings.Repeat("x", 4000)}).Draw(t, "odd"))
		default:
			text := make([]byte, rapid.IntRange(0, maxBytes).Draw(t, "text"))
			_, _ = random.Read(text) // so that compression does not shrink it
			fmt.Fprintf(b, `{"resourceType":%q,"id":"%d","data":"%x"}`, rapid.SampledFrom([]string{"Linkage", "Basic"}).Draw(t, "type"), i, text)
		}
		b.WriteString(rapid.SampledFrom([]string{"\n", "\r\n", "\n\n"}).Draw(t, "end"))
	}
	b.WriteString(rapid.SampledFrom([]string{"", "\n", `{"resourceType":"Basic"}`}).Draw(t, "last"))
}

// A Position never lies within a line, and never before one that was handed out.
func TestPosition(t *testing.T) {
	t.Parallel()
	const good = `{"resourceType":"Basic"}`
	reset := errors.New("connection reset")
	long := strings.Repeat("x", 600_000)
	for _, tt := range []struct {
		name, ndjson string
		err          error
		want         columnar.Position
	}{
		{"nothing", "", nil, columnar.Position{}},
		{"the end, with a line end", good + "\n", nil, columnar.Position{Lines: 1, Bytes: 25}},
		{"the end, without one", good, nil, columnar.Position{Lines: 1, Bytes: 24}},
		{"blank lines before the end", good + "\n\n \n", nil, columnar.Position{Lines: 3, Bytes: 28}},
		{"a byte order mark alone", "\uFEFF", nil, columnar.Position{Lines: 1, Bytes: 3}},
		{"broken off at once", "", reset, columnar.Position{}},
		{"broken off between lines", good + "\n", reset, columnar.Position{Lines: 1, Bytes: 25}},
		{"broken off behind a blank line", good + "\n\n", reset, columnar.Position{Lines: 2, Bytes: 26}},
		{"broken off within a line", good + "\n" + good, reset, columnar.Position{Lines: 1, Bytes: 25}},
		{"broken off within a long line", good + "\n" + long, reset, columnar.Position{Lines: 1, Bytes: 25}},
		{"a long line", long + "\n" + good, nil, columnar.Position{Lines: 2, Bytes: 600_025}},
		{"a long line at the end", good + "\n" + long, nil, columnar.Position{Lines: 2, Bytes: 600_025}},
	} {
		at := columnar.Position{Lines: 7, Bytes: 1000}
		for _, max := range []int{40, 300_000, 599_999} {
			var r io.Reader = strings.NewReader(tt.ndjson)
			if tt.err != nil {
				r = io.MultiReader(r, iotest.ErrReader(tt.err))
			}
			lines := columnar.NewLinesAt(r, max, at)
			var q quarantine
			w := columnar.NewWriter(columnar.Options{Create: memory{}.create, Quarantine: q.take})
			if _, err := w.Append(t.Context(), lines, nil); !errors.Is(err, tt.err) {
				t.Errorf("%s: %v", tt.name, err)
			}
			if tt.name == "a byte order mark alone" { // which is a line where no file begins
				continue
			}
			want := columnar.Position{Lines: at.Lines + tt.want.Lines, Bytes: at.Bytes + tt.want.Bytes}
			if got := lines.Position(); got != want {
				t.Errorf("%s, max %d: the position is %+v, not %+v", tt.name, max, got, want)
			}
		}
	}
}

// A Lines is never further than ReadAhead behind its Position.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	r := strings.NewReader(strings.Repeat(`{"resourceType":"Basic","id":"`+strings.Repeat("x", 5000)+`"}`+"\n", 500))
	size := r.Size()
	lines := columnar.NewLines(r, 0)
	for more := true; more; {
		more = new(taken).part(t, columnar.Options{TargetBytes: 1, RowGroupBytes: 20_000}, lines)
		if ahead := size - int64(r.Len()) - lines.Position().Bytes; ahead < 0 || ahead > columnar.ReadAhead {
			t.Fatalf("it has read %d bytes behind its position", ahead)
		}
	}
}
