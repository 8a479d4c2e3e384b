package columnar

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// wantStrides checks that another implementation's decoder can read a frame.
func wantStrides(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, s *strides, page []byte, start, size int) (frame []byte, ok bool) {
	t.Helper()
	how, ok := s.find(page, start, size)
	if !ok {
		return nil, false
	}
	before := []byte("before")
	frame, same := bytes.CutPrefix(s.frame(bytes.Clone(before), page, how), before)
	if !same {
		t.Fatalf("%d bytes, %+v: what was there before is not as it was", len(page), how)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer d.Close()
	if got, err := d.DecodeAll(frame, nil); err != nil || !bytes.Equal(got, page) {
		t.Fatalf("%d bytes, %+v: %d bytes came back, %v", len(page), how, len(got), err)
	}
	return frame, true
}

// Values of any size round-trip, with a run of equal bytes of any length that may wrap around into
// the next value, after levels of any length.
func TestStrides(t *testing.T) {
	t.Parallel()
	var s strides
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.IntRange(1, maxStride+2), rapid.SampledFrom([]int{1000, blockBytes + 1})).Draw(t, "size")
		run := rapid.IntRange(0, size).Draw(t, "run")
		at := rapid.IntRange(0, size-1).Draw(t, "at")
		count := rapid.SampledFrom([]int{0, 1, 2, 3, 4, 100, 127, 128, 129, 1500, 4000, 20_000}).Draw(t, "count")
		if size > maxStride {
			count %= 10
		}
		letters := rapid.SampledFrom([]int{1, 2, 16, 256}).Draw(t, "letters")
		start := rapid.SampledFrom([]int{0, 1, 8, 1000, blockBytes - 5, 2*blockBytes + 3}).Draw(t, "start")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		page := make([]byte, start+count*size)
		for i := range page {
			page[i] = byte(r.IntN(letters))
			if v := (i - start) % size; i >= start && (v-at+size)%size < run {
				page[i] = byte(v)
			}
		}
		if _, ok := wantStrides(t, &s, page, start, size); ok != (count >= 3 && len(page) <= windowBytes) && run >= minRun && run < size && size <= maxStride {
			t.Fatalf("a frame: %v", ok)
		}
	})
}

func FuzzStrides(f *testing.F) {
	f.Add([]byte("\x04\x00\x00\x00abcd\x04\x00\x00\x00efgh\x04\x00\x00\x00ijkl"), 0, 8, 9)
	f.Add(bytes.Repeat([]byte("an id: 7 "), 99), 3, 9, 2000)
	f.Fuzz(func(t *testing.T, some []byte, start, size, times int) {
		if len(some) == 0 || times < 1 || len(some)*times > 1<<20 {
			return
		}
		page := bytes.Repeat(some, times)
		if start < 0 || size < 0 || start > len(page) {
			return
		}
		wantStrides(t, new(strides), page, start, size)
	})
}

// uuids returns n texts, PLAIN-encoded, each a random UUID in a form.
func uuids(r *rand.Rand, form string, n int) []byte {
	var plain []byte
	for range n {
		u := fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<16), r.IntN(1<<16), r.Uint64()>>16)
		u = fmt.Sprintf(form, u)
		pushPlain(&plain, []byte(u), 0, 2)
	}
	return plain
}

// UUIDs take hardly more room than their information.
func TestUUIDs(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, form := range []string{"%s", "Patient/%s", "https://fhir.example/r4/Encounter/%s", "%s/_history/1"} {
		plain := uuids(r, form, 10_000)
		frame, ok := wantStrides(t, new(strides), plain, 0, plainSize(plain, 0))
		if limit := 10_000 * 39 / 2; !ok || len(frame) > limit { // 16 bytes are random, the rest is for four dashes
			t.Errorf("%q: %d bytes for 10,000 UUIDs, more than %d", form, len(frame), limit)
		}
	}
}

// The first page of a column decides how its pages are packed.
func TestPacking(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	few := uuids(r, "Patient/%s", 50)
	repeated := bytes.Repeat(few, 100)
	var some []byte // one in four repeats
	for range 100 {
		now := uuids(r, "%s", 30)
		some = append(append(some, now...), now[:400]...)
	}
	times := make([]byte, 0, 8*5000)
	for range 5000 {
		times = binary.LittleEndian.AppendUint64(times, uint64(r.Int64N(1e9))*1e6)
	}
	odd := uuids(r, "%s", 5000)
	pushPlain(&odd, []byte("short"), 0, 2)
	for _, tt := range []struct {
		name        string
		level       int
		first, then []byte
		strides     bool
	}{
		{"ids", 0, uuids(r, "%s", 5000), uuids(r, "%s", 5000), true},
		{"ids, level 19", 19, uuids(r, "%s", 5000), uuids(r, "%s", 5000), true},
		{"ids, then one of another length", 0, uuids(r, "%s", 5000), odd, true},
		{"one of another length, then ids", 0, odd, uuids(r, "%s", 5000), true},
		{"references that come again", 0, repeated, uuids(r, "%s", 5000), false},
		{"references of which some come again", 0, some, uuids(r, "%s", 5000), false},
		{"too few to tell", 0, repeated[:80*48], uuids(r, "%s", 5000), true},
		{"times", 0, times, times, false},
		{"behind a long prefix", 0, uuids(r, "https://fhir.example/r4/Encounter/%s", 5000), uuids(r, "https://fhir.example/r4/Encounter/%s", 5000), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newPageEncoder(Zstd, tt.level)
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			fixed := 0
			if tt.name == "times" {
				fixed = 8
			}
			var p packing
			for _, page := range [][]byte{tt.first, tt.then} {
				e.raw = append(e.raw[:0], page...)
				e.pack(pageValues{fixed: fixed, packing: &p})
				if got, err := d.DecodeAll(e.packed, nil); err != nil || !bytes.Equal(got, page) {
					t.Fatalf("%d bytes came back of %d, %v", len(got), len(page), err)
				}
			}
			if p.strides != tt.strides {
				t.Errorf("strides: %v", p.strides)
			}
		})
	}
	// Other codecs are left alone.
	page := uuids(r, "%s", 5000)
	e, p := newPageEncoder(Snappy, 0), packing{strides: true}
	e.raw = page
	e.pack(pageValues{packing: &p})
	if got, err := snappy.Decode(nil, e.packed); err != nil || !bytes.Equal(got, page) {
		t.Errorf("snappy: %d bytes came back of %d, %v", len(got), len(page), err)
	}
}

// How pages are packed best may change: after some pages it is tried again.
func TestPackingChanges(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	alone, again := uuids(r, "%s", 500), bytes.Repeat(uuids(r, "%s", 10), 50)
	e, p := newPageEncoder(Zstd, 0), packing{}
	for i, page := range [][]byte{alone, again, alone} {
		for range packingTrial {
			e.raw = append(e.raw[:0], page...)
			e.pack(pageValues{packing: &p})
		}
		if want := i != 1; p.strides != want {
			t.Errorf("after pages of kind %d, strides: %v", i, p.strides)
		}
	}
}

// A block is never longer than what it decompresses to, even though its headers are: readers
// refuse blocks of more than 128 KiB.
func TestLongBlocks(t *testing.T) {
	t.Parallel()
	var s strides
	for few := 380; few <= 480; few++ {
		var head []byte // compresses by only a few bytes
		head = append(head, bytes.Repeat([]byte{0}, 1040)...)
		head = append(head, bytes.Repeat([]byte{1, 2}, few)...)
		for i := 0; len(head) < blockBytes; i++ {
			head = append(head, byte(3+i%253))
		}
		page := append(head, bytes.Repeat([]byte("same, and an x"), 3)...)
		if _, ok := wantStrides(t, &s, page, blockBytes, 14); !ok {
			t.Fatal("it is no frame")
		}
	}
}

// Pages larger than the window that readers must have memory for do not become a frame.
func TestLargePages(t *testing.T) {
	t.Parallel()
	if _, ok := wantStrides(t, new(strides), make([]byte, windowBytes+16), 0, 16); ok {
		t.Error("a page of more than a window is a frame")
	}
}
