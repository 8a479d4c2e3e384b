package sinktest

import (
	"fmt"
	"sync"
	"testing"

	"fhirkiln/sink"
)

func testVisibility(t *testing.T, open func() Sink) {
	s := open()
	content := random(1, 100_000)
	staging, err := s.Stage(t.Context(), partKey)
	if err != nil {
		t.Fatal(err)
	}
	unseen(t, s, partKey)
	for _, half := range [][]byte{content[:50_000], content[50_000:]} {
		if _, err := staging.Write(half); err != nil {
			t.Fatal(err)
		}
		unseen(t, s, partKey)
	}
	r, err := staging.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unseen(t, s, partKey)
	publish(t, s, r)
	holds(t, s, map[string][]byte{partKey: content})
}

func testPublishTwice(t *testing.T, open func() Sink) {
	s := open()
	content := random(2, 1000)
	r := stage(t, s, partKey, content)
	publish(t, s, r)
	publish(t, s, r)
	publish(t, open(), throughLedger(t, r))
	holds(t, s, map[string][]byte{partKey: content})
}

func testPublishAtOnce(t *testing.T, open func() Sink) {
	s := open()
	want := map[string][]byte{}
	for round := range 40 {
		key := fmt.Sprintf("a/b/%d.parquet", round)
		want[key] = random(uint64(round), 100)
		r := stage(t, s, key, want[key])
		start := make(chan struct{})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				<-start
				publish(t, s, r)
			})
		}
		close(start)
		all.Wait()
	}
	holds(t, s, want)
}

func testPublishUnstaged(t *testing.T, open func() Sink) {
	s := open()
	aborted := stage(t, s, partKey, random(3, 1000))
	abort(t, s, aborted)
	unpublished := stage(t, s, "a/published.parquet", random(4, 1000))
	publish(t, s, unpublished)
	abort(t, s, unpublished)
	for name, r := range map[string]sink.Receipt{
		"aborted":                 aborted,
		"aborted after Publish":   unpublished,
		"never staged":            {Key: "b/unknown.parquet", Size: 1000},
		"never staged, and empty": {Key: "c/empty.parquet"},
	} {
		if err := s.Publish(t.Context(), r); err == nil {
			t.Errorf("publishing a part that was %s succeeds", name)
		}
		unseen(t, s, r.Key)
	}
}
