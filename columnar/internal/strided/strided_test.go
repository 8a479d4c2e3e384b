package strided_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"fhirkiln/columnar/internal/strided"
)

// texts is a page of values with a length in front.
func texts(head string, values ...string) []byte {
	page := []byte(head)
	for _, v := range values {
		page = binary.LittleEndian.AppendUint32(page, uint32(len(v)))
		page = append(page, v...)
	}
	return page
}

// decoder is another's.
func decoder(t interface{ Fatal(...any) }) *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAppend(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	many := func(n int, value func(i int) string) (all []string) {
		for i := range n {
			all = append(all, value(i))
		}
		return all
	}
	numbers := func(n, width int, value func(i int) uint64) (page []byte) {
		for i := range n {
			page = append(page, binary.LittleEndian.AppendUint64(nil, value(i))[:width]...)
		}
		return page
	}
	id := func(int) string {
		return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", r.Uint32(), r.Uint32N(1<<16), r.Uint32N(1<<16), r.Uint32N(1<<16), r.Uint64N(1<<48))
	}
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	const day = 24 * 3600
	for _, tt := range []struct {
		name        string
		page        []byte
		head, width int
		most        int // bytes a value, in hundredths; 0 is whatever
	}{
		{"nothing", nil, 0, 0, 0},
		{"a head alone", []byte("head"), 4, 8, 0},
		{"one value", texts("", "a"), 0, 0, 0},
		{"one number", numbers(1, 8, func(int) uint64 { return 7 }), 0, 8, 0},
		{"the same", texts("", many(1000, func(int) string { return "the same" })...), 0, 0, 10},
		{"ids", texts("head", many(20_000, id)...), 4, 0, 1900},
		{"counted", numbers(50_000, 8, func(i int) uint64 { return uint64(i) }), 0, 8, 110},
		{"seconds of years", numbers(50_000, 8, func(int) uint64 { return 1_700_000_000_000_000 + 1_000_000*r.Uint64N(5*365*day) }), 0, 8, 650},
		{"random numbers", numbers(50_000, 4, func(int) uint64 { return r.Uint64() }), 0, 4, 401},
		{"lengths that differ", texts("", many(3000, func(i int) string { return strings.Repeat("ab", i%300) })...), 0, 0, 0},
		{"longer ones", texts("h", strings.Repeat("long", 100_000), strings.Repeat("long", 100_000), random(300_000)), 1, 0, 0},
		{"long ones", texts("", many(5, func(i int) string { return strings.Repeat(string(rune('a'+i)), 30_000) })...), 0, 0, 0},
		{"one letter", []byte(strings.Repeat("a", 300_000)), 0, 16, 0},
		{"all head", []byte(strings.Repeat("abcdefg", 100_000)), 700_000, 16, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var e strided.Encoder
			for range 2 { // the second time with memory that was used
				got, ok := e.Append([]byte("before"), tt.page, tt.head, tt.width)
				if !ok {
					t.Fatal("is refused")
				}
				got, _ = bytes.CutPrefix(got, []byte("before"))
				back, err := decoder(t).DecodeAll(got, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(back, tt.page) {
					t.Fatal("is another page after decoding")
				}
				t.Logf("%d bytes from %d", len(got), len(tt.page))
				values := bytes.Count(tt.page, []byte{36, 0, 0, 0})
				switch {
				case tt.width > 0:
					values = len(tt.page) / tt.width
				case values == 0:
					values = 1000
				}
				if tt.most > 0 && len(got)*100 > tt.most*values+20_000 {
					t.Errorf("%d values take %d bytes", values, len(got))
				}
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for name, page := range map[string][]byte{
		"half a length":     texts("", "a")[:3],
		"half a value":      texts("", "abc")[:5],
		"too long a length": {255, 255, 255, 255, 1},
	} {
		if _, ok := new(strided.Encoder).Append(nil, page, 0, 0); ok {
			t.Errorf("%s is compressed", name)
		}
	}
}

func TestAppendProperty(t *testing.T) {
	t.Parallel()
	d := decoder(t)
	var e strided.Encoder
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SampledFrom([]string{"ab", "0123456789-T:", "abcdefghijklmnopqrstuvwxyz0123456789\x00\xff"}).Draw(t, "letters")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		most := rapid.SampledFrom([]int{1, 8, 40, 300, 5000}).Draw(t, "most")
		same := rapid.IntRange(0, 10).Draw(t, "same")
		var values []string
		form := make([]byte, most)
		for range rapid.IntRange(0, 400_000/(most+4)).Draw(t, "values") {
			for i := range form {
				if r.IntN(10) >= same {
					form[i] = letters[r.IntN(len(letters))]
				}
			}
			n := most
			if r.IntN(10) == 0 {
				n = r.IntN(most + 1)
			}
			values = append(values, string(form[:n]))
		}
		head := strings.Repeat("h", rapid.IntRange(0, 20).Draw(t, "head"))
		page := texts(head, values...)
		for _, width := range []int{0, 1, 4, 8, 16} {
			got, ok := e.Append(nil, page, len(head), width)
			if !ok {
				t.Fatal("is refused")
			}
			back, err := d.DecodeAll(got, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back, page) {
				t.Fatal("is another page after decoding")
			}
		}
	})
}
