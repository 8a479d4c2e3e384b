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

// Whether and when there is a core for reading ahead changes nothing: neither the bytes
// of the parts, nor where they end, nor what is in quarantine, nor where it fails.
func TestSpareProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		input := oddLines(rand.New(rand.NewPCG(seed, 0)), rapid.IntRange(0, 150).Draw(t, "lines"))
		max := rapid.SampledFrom([]int{0, 700, 300_000}).Draw(t, "longest line")
		o := columnar.Options{
			TargetBytes:   rapid.SampledFrom([]int64{1, 20_000, 100_000}).Draw(t, "target"),
			RowGroupBytes: rapid.SampledFrom([]int64{1_000, 30_000}).Draw(t, "row group"),
		}
		fails := rapid.SampledFrom([]int{0, 0, len(input) / 2}).Draw(t, "reader fails at")
		want := convertAll(t, o, input, max, fails)
		dice := rand.New(rand.NewPCG(seed, 1))
		always := rapid.Bool().Draw(t, "always")
		o.Spare = func() bool { return always || dice.IntN(3) == 0 }
		if diff := cmp.Diff(want, convertAll(t, o, input, max, fails)); diff != "" {
			t.Errorf("(-alone +with a core to spare)\n%s", diff)
		}
	})
}

// converted is all that can be seen of a file's conversion.
type converted struct {
	Parts map[string][]byte // by number and type
	Ends  []columnar.Position
	Read  []columnar.ReadStats
	Bad   quarantine
	Error string
}

func convertAll(t failer, o columnar.Options, input []byte, max, fails int) converted {
	t.Helper()
	all := converted{Parts: map[string][]byte{}}
	o.Quarantine = all.Bad.take
	r := io.Reader(bytes.NewReader(input))
	if fails > 0 {
		r = io.MultiReader(bytes.NewReader(input[:fails]), iotest.ErrReader(errors.New("connection reset")))
	}
	lines := columnar.NewLines(r, max)
	for more := true; more; {
		m := memory{}
		o.Create = m.create
		w := columnar.NewWriter(o)
		read, err := w.Append(t.Context(), lines, &origin)
		all.Read, all.Ends = append(all.Read, read), append(all.Ends, lines.Position())
		if err != nil {
			all.Error = err.Error()
			return all
		}
		if _, err := w.Close(); err != nil {
			t.Fatalf("closing: %v", err)
		}
		for name, b := range m {
			all.Parts[fmt.Sprint(len(all.Ends), name)] = b.Bytes()
		}
		more = w.Full()
	}
	return all
}

// oddLines is NDJSON with all that a line can be: short, long, blank, broken.
func oddLines(random *rand.Rand, n int) []byte {
	var b bytes.Buffer
	for i := range n {
		switch random.IntN(40) {
		case 0:
			b.WriteString([]string{"", " ", "\r", "\uFEFF", "[]", "{", strings.Repeat("x", 4000), strings.Repeat("\n", 3000)}[random.IntN(8)])
		case 1:
			fmt.Fprintf(&b, `{"resourceType":"Basic","id":"%d","text":"%s"}`, i, strings.Repeat("long", random.IntN(100_000))) // some are longer than what is read at once
		default:
			fmt.Fprintf(&b, `{"resourceType":%q,"id":"%d","data":"%x"}`, []string{"Linkage", "Basic"}[random.IntN(2)], i, make([]byte, random.IntN(300)))
		}
		b.WriteString([]string{"\n", "\r\n", "\n\n"}[random.IntN(3)])
	}
	return b.Bytes()
}

// What is read ahead is bounded, blank lines included.
func TestReadAheadIsBounded(t *testing.T) {
	t.Parallel()
	for _, line := range []string{`{"resourceType":"Basic"}` + "\n", strings.Repeat("\n", 5000) + `{"resourceType":"Basic"}` + "\n"} {
		r := strings.NewReader(strings.Repeat(line, 20<<20/len(line)))
		size := int64(r.Len())
		m := memory{}
		w := columnar.NewWriter(columnar.Options{Create: m.create, TargetBytes: 1, RowGroupBytes: 10_000, Spare: func() bool { return true }})
		lines := columnar.NewLines(r, 0)
		if _, err := w.Append(t.Context(), lines, nil); err != nil {
			t.Fatalf("closing: %v", err)
		}
		if ahead := size - int64(r.Len()) - lines.Position().Bytes; ahead <= 0 || ahead > columnar.ReadAhead {
			t.Errorf("%d bytes were read ahead, want some, up to %d", ahead, columnar.ReadAhead)
		}
	}
}
