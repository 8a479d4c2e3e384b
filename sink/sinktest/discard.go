package sinktest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/sink"
)

func testConfirm(t *testing.T, open func() Sink) {
	s := open()
	gone := func(what string, r sink.Receipt) {
		t.Helper()
		if err := s.Confirm(t.Context(), r); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Confirm of a part that is %s: %v", what, err)
		}
	}
	for name, size := range map[string]int{"empty": 0, "small": 1000, "large": 20_000_003} {
		r := throughLedger(t, stage(t, s, "a/"+name+".parquet", random(40, size)))
		if err := open().Confirm(t.Context(), r); err != nil {
			t.Errorf("a staged part, %s: %v", name, err)
		}
		unseen(t, s, r.Key)
		publish(t, s, r)
		if err := s.Confirm(t.Context(), r); err != nil {
			t.Errorf("a published part, %s: %v", name, err)
		}
		abort(t, s, r)
		gone("aborted", r)
	}
	gone("unknown", sink.Receipt{Key: "b/unknown.parquet", Size: 1000})

	// Another file in the part's place is not the part.
	r := stage(t, s, partKey, random(41, 1000))
	abort(t, s, r)
	if err := s.Put(t.Context(), partKey, []byte("another's")); err != nil {
		t.Fatal(err)
	}
	gone("replaced", r)
}

func testDiscard(t *testing.T, open func() Sink) {
	s := open()
	discard := func(key string) {
		t.Helper()
		for range 2 {
			if err := open().Discard(t.Context(), key); err != nil {
				t.Errorf("Discard of %s: %v", key, err)
			}
		}
		unseen(t, s, key)
	}
	discard("b/unknown.parquet")

	finished := stage(t, s, partKey, random(42, 9_000_000))
	discard(partKey)
	if err := s.Publish(t.Context(), finished); err == nil {
		t.Error("a discarded part was published")
	}
	if err := s.Confirm(t.Context(), finished); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Confirm of a discarded part: %v", err)
	}

	for _, written := range []int{0, 1000, 20_000_000} { // by a process that is then killed
		begun, err := s.Stage(t.Context(), partKey)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := begun.Write(random(43, written)); err != nil {
			t.Fatal(err)
		}
		discard(partKey)
		// The owner, if it is alive after all, must not bring the part back.
		_ = begun.Abort(t.Context())
		unseen(t, s, partKey)
	}

	publish(t, s, stage(t, s, partKey, random(44, 1000)))
	discard(partKey)

	content := random(45, 500) // the key is free again
	publish(t, s, stage(t, s, partKey, content))
	holds(t, s, map[string][]byte{partKey: content})
}

func testDiscardNeighbours(t *testing.T, open func() Sink) {
	s := open()
	neighbours := map[string]sink.Receipt{}
	want := map[string][]byte{}
	for i, key := range []string{"a/p1", "a/p10.parquet", "a/p1.parquet2", "b/p1.parquet"} {
		want[key] = random(uint64(50+i), 1000)
		neighbours[key] = stage(t, s, key, want[key])
	}
	published := random(59, 1000)
	publish(t, s, stage(t, s, "a/p1.parquet3", published))
	stage(t, s, "a/p1.parquet", random(60, 1000))
	for _, key := range []string{"a/p1.parquet", "a/p", "a"} {
		if err := open().Discard(t.Context(), key); err != nil {
			t.Errorf("Discard of %s: %v", key, err)
		}
	}
	for key, r := range neighbours {
		if err := s.Confirm(t.Context(), r); err != nil {
			t.Errorf("%s was discarded with its neighbor: %v", key, err)
		}
		publish(t, s, r)
	}
	want["a/p1.parquet3"] = published
	holds(t, s, want)
}

func testStaged(t *testing.T, open func() Sink) {
	s := open()
	staged := func(prefix string) map[string]bool {
		t.Helper()
		found := map[string]bool{}
		err := open().Staged(t.Context(), prefix, func(key string, at time.Time) error {
			if age := time.Since(at); age < -time.Hour || age > time.Hour { // stores have their own clocks
				t.Errorf("%s was staged %v ago", key, age)
			}
			found[key] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	want := func(prefix string, keys ...string) {
		t.Helper()
		all := map[string]bool{}
		for _, key := range keys {
			all[key] = true
		}
		if diff := cmp.Diff(all, staged(prefix)); diff != "" {
			t.Errorf("Staged(%q) (-want +got):\n%s", prefix, diff)
		}
	}
	want("")
	finished := stage(t, s, partKey, random(61, 1000))
	other := stage(t, s, "_fhirkiln/runs/r-1/a b%2F-q.ndjson", random(62, 10))
	begun, err := s.Stage(t.Context(), "a/begun.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := begun.Write(random(63, 9_000_000)); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "a/put.json", []byte("put")); err != nil {
		t.Fatal(err)
	}
	want("", partKey, other.Key, "a/begun.parquet")
	want("a/", "a/begun.parquet")
	want("_fhirkiln/runs/r-1/", other.Key)
	want("b")

	enough := errors.New("enough")
	if err := s.Staged(t.Context(), "", func(string, time.Time) error { return enough }); err != enough {
		t.Errorf("Staged returned %v, want each's error", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Staged(canceled, "", func(string, time.Time) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Staged with a canceled context: %v", err)
	}

	publish(t, s, finished)
	if err := begun.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	want("", other.Key)
	if err := open().Discard(t.Context(), other.Key); err != nil {
		t.Error(err)
	}
	want("")
}

func testRemove(t *testing.T, open func() Sink) {
	s := open()
	publish(t, s, stage(t, s, partKey, random(46, 1000)))
	if err := s.Put(t.Context(), "a/put.json", []byte("put")); err != nil {
		t.Fatal(err)
	}
	kept := []byte("kept")
	if err := s.Put(t.Context(), "a/put.json2", kept); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, key := range []string{partKey, "a/put.json", "a", "b/unknown.json"} {
			if err := s.Remove(t.Context(), key); err != nil {
				t.Errorf("Remove of %s: %v", key, err)
			}
		}
	}
	holds(t, s, map[string][]byte{"a/put.json2": kept})

	var some []string
	for n := range 10 {
		some = append(some, fmt.Sprintf("c/%d/%d.json", n%3, n))
		if err := s.Put(t.Context(), some[n], kept); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Remove(t.Context(), append([]string{"c/0/unknown.json"}, some[1:]...)...); err != nil {
		t.Errorf("Remove of several: %v", err)
	}
	holds(t, s, map[string][]byte{"a/put.json2": kept, some[0]: kept})
	if err := s.Remove(t.Context(), some[0]); err != nil {
		t.Error(err)
	}
}
