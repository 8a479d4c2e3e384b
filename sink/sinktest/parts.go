package sinktest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"fhirkiln/sink"
)

const partKey = "r4-core-1/Patient/kiln_source=s/kiln_feed=f/kiln_run=r/p1.parquet"

func testAbort(t *testing.T, open func() Sink) {
	s := open()
	staged := stage(t, s, partKey, random(5, 1000))
	published := stage(t, s, "a/published.parquet", random(6, 1000))
	publish(t, s, published)
	for range 2 {
		abort(t, s, staged)
		abort(t, s, published)
		abort(t, s, sink.Receipt{Key: "b/unknown.parquet", Size: 1000})
		unseen(t, s, staged.Key)
		unseen(t, s, published.Key)
	}
	// The key is free again.
	content := random(7, 500)
	publish(t, s, stage(t, s, partKey, content))
	holds(t, s, map[string][]byte{partKey: content})
}

// testAbortOther checks that aborting a part that could not be published leaves a different
// file in its place alone.
func testAbortOther(t *testing.T, open func() Sink) {
	s := open()
	other := []byte("another's")
	r := stage(t, s, partKey, random(16, 1000))
	if err := s.Put(t.Context(), "a/other.json", other); err != nil {
		t.Fatal(err)
	}
	abort(t, s, sink.Receipt{Key: "a/other.json", Size: 1000})
	abort(t, s, sink.Receipt{Key: "a"})
	abort(t, s, r)
	holds(t, s, map[string][]byte{"a/other.json": other})
}

func testStagingAbort(t *testing.T, open func() Sink) {
	s := open()
	for _, written := range []int{0, 1000} {
		staging, err := s.Stage(t.Context(), partKey)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := staging.Write(random(8, written)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := staging.Abort(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if n, err := staging.Write([]byte("more")); err == nil || n != 0 {
			t.Errorf("a write after Abort: %d bytes, %v", n, err)
		}
		if r, err := staging.Finish(t.Context()); err == nil {
			t.Errorf("Finish after Abort returns a receipt: %v", r)
		}
		if err := s.Publish(t.Context(), sink.Receipt{Key: partKey, Size: int64(written)}); err == nil {
			t.Error("an aborted part was published")
		}
		unseen(t, s, partKey)
	}
}

func testFinish(t *testing.T, open func() Sink) {
	s := open()
	content := random(9, 1000)
	staging, err := s.Stage(t.Context(), partKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := staging.Write(content); err != nil {
		t.Fatal(err)
	}
	r, err := staging.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := staging.Write([]byte("more")); err == nil || n != 0 {
		t.Errorf("a write after Finish: %d bytes, %v", n, err)
	}
	if again, err := staging.Finish(t.Context()); err == nil {
		t.Errorf("a second Finish returns a receipt: %v", again)
	}
	// A finished part is aborted only by its receipt.
	if err := staging.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	publish(t, s, r)
	holds(t, s, map[string][]byte{partKey: content})
}

func testEmptyPart(t *testing.T, open func() Sink) {
	s := open()
	r := stage(t, s, partKey, nil)
	unseen(t, s, partKey)
	publish(t, s, throughLedger(t, r))
	publish(t, s, r)
	holds(t, s, map[string][]byte{partKey: {}})
}

func testLargePart(t *testing.T, open func() Sink) {
	s := open()
	content := random(10, 20_000_003)
	staging, err := s.Stage(t.Context(), partKey)
	if err != nil {
		t.Fatal(err)
	}
	sizes := rand.New(rand.NewPCG(1, 2))
	var buffer []byte // reused, as io.Writer allows
	for rest := content; len(rest) > 0; {
		n := min(len(rest), []int{1, 7, 4095, 65_537, 3_000_001}[sizes.IntN(5)])
		buffer = append(buffer[:0], rest[:n]...)
		if got, err := staging.Write(buffer); err != nil || got != n {
			t.Fatalf("writing %d bytes: %d, %v", n, got, err)
		}
		clear(buffer)
		rest = rest[n:]
	}
	r, err := staging.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Size != int64(len(content)) {
		t.Errorf("the receipt says %d bytes, want %d", r.Size, len(content))
	}
	unseen(t, s, partKey)
	publish(t, s, r)
	holds(t, s, map[string][]byte{partKey: content})
}

func testSameBase(t *testing.T, open func() Sink) {
	s := open()
	a, b := random(11, 1000), random(12, 1000)
	inA, inB := stage(t, s, "a/p1.parquet", a), stage(t, s, "b/p1.parquet", b)
	publish(t, s, inB)
	holds(t, s, map[string][]byte{"b/p1.parquet": b})
	publish(t, s, inA)
	holds(t, s, map[string][]byte{"a/p1.parquet": a, "b/p1.parquet": b})
	abort(t, s, inB)
	holds(t, s, map[string][]byte{"a/p1.parquet": a})
}

func testAnotherProcess(t *testing.T, open func() Sink) {
	kept, thrown, unpublished := random(13, 1000), random(14, 2000), random(15, 3000)
	first := open()
	toKeep := throughLedger(t, stage(t, first, "a/kept.parquet", kept))
	toThrow := throughLedger(t, stage(t, first, "a/thrown.parquet", thrown))
	toUnpublish := throughLedger(t, stage(t, first, "a/unpublished.parquet", unpublished))
	publish(t, first, toUnpublish)

	second := open()
	holds(t, second, map[string][]byte{"a/unpublished.parquet": unpublished})
	publish(t, second, toKeep)
	abort(t, second, toThrow)
	abort(t, second, toUnpublish)

	for _, s := range []Sink{first, second, open()} {
		holds(t, s, map[string][]byte{"a/kept.parquet": kept})
		if err := s.Publish(t.Context(), toThrow); err == nil {
			t.Error("a part was published that another process had aborted")
		}
	}
}

// testManyAtOnce lets parts come and go in shared folders while others list them.
func testManyAtOnce(t *testing.T, open func() Sink) {
	s := open()
	const goroutines, rounds, size = 12, 12, 1000
	stop := make(chan struct{})
	var lister sync.WaitGroup
	lister.Go(func() {
		for {
			err := s.List(t.Context(), "", func(key string, n int64) error {
				if n != size {
					return fmt.Errorf("%s has %d bytes", key, n)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		want    = map[string][]byte{}
	)
	for g := range goroutines {
		workers.Go(func() {
			for round := range rounds {
				key := fmt.Sprintf("a/%d/p%d.parquet", round, g)
				content := random(uint64(g*rounds+round), size)
				staging, err := s.Stage(t.Context(), key)
				if err != nil {
					t.Error(err)
					continue
				}
				if _, err := staging.Write(content); err != nil {
					t.Error(err)
				}
				if (g+round)%4 == 0 {
					if err := staging.Abort(t.Context()); err != nil {
						t.Error(err)
					}
					continue
				}
				r, err := staging.Finish(t.Context())
				if err != nil {
					t.Error(err)
					continue
				}
				switch (g + round) % 4 {
				case 1:
					abort(t, s, r)
				case 2:
					publish(t, s, r)
					abort(t, s, r)
				case 3:
					publish(t, s, r)
					mu.Lock()
					want[key] = content
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	close(stop)
	lister.Wait()
	holds(t, s, want)
}
