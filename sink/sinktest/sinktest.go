// Package sinktest is the conformance suite for sinks.
//
// The common path, in the tests of a sink:
//
//	func TestConformance(t *testing.T) {
//		sinktest.Test(t, func(t *testing.T) func() sinktest.Sink {
//			root := t.TempDir()
//			return func() sinktest.Sink { return open(t, root) }
//		})
//	}
package sinktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/sink"
)

// Sink is a sink under test. All methods but those of a [sink.Staging] are called from many
// goroutines.
type Sink interface {
	Stage(ctx context.Context, key string) (sink.Staging, error)
	Publish(ctx context.Context, r sink.Receipt) error
	Abort(ctx context.Context, r sink.Receipt) error
	Put(ctx context.Context, key string, content []byte) error
	Open(ctx context.Context, key string) (sink.Reader, error)
	List(ctx context.Context, prefix string, each func(key string, size int64) error) error
	Load(ctx context.Context, key string) ([]byte, sink.Version, error)
	Swap(ctx context.Context, key string, content []byte, old sink.Version) (sink.Version, error)
	Remove(ctx context.Context, keys ...string) error
	Discard(ctx context.Context, key string) error
	Confirm(ctx context.Context, r sink.Receipt) error
	Staged(ctx context.Context, prefix string, each func(key string, at time.Time) error) error
}

// Test runs the suite. Each test calls newPlace for an empty place and opens it with the
// function returned, each time like a new process that knows nothing of earlier ones.
//
// Every test publishes, aborts or discards all that it stages, so newPlace can register a
// cleanup that checks that only published files are left.
func Test(t *testing.T, newPlace func(t *testing.T) (open func() Sink)) {
	tests := []struct {
		name string
		test func(t *testing.T, open func() Sink)
	}{
		{"Publish makes a part visible", testVisibility},
		{"Publish is idempotent", testPublishTwice},
		{"many Publishes at once", testPublishAtOnce},
		{"Publish of what is not staged fails", testPublishUnstaged},
		{"Abort is idempotent", testAbort},
		{"Abort leaves other files alone", testAbortOther},
		{"Staging.Abort", testStagingAbort},
		{"no writes after Finish", testFinish},
		{"an empty part", testEmptyPart},
		{"a large part in odd pieces", testLargePart},
		{"two parts with the same base name", testSameBase},
		{"another process publishes and aborts", testAnotherProcess},
		{"many at once", testManyAtOnce},
		{"Confirm", testConfirm},
		{"Discard", testDiscard},
		{"Discard leaves neighbors alone", testDiscardNeighbours},
		{"Staged", testStaged},
		{"Remove", testRemove},
		{"Load and Swap", testSwap},
		{"Swap after a lost answer", testSwapLost},
		{"no Swap is lost", testSwapRace},
		{"one Swap creates a file", testSwapCreates},
		{"Put replaces", testPut},
		{"keys", testKeys},
		{"invalid keys", testBadKeys},
		{"List", testList},
		{"List while files disappear", testListVanishing},
		{"Open", testOpen},
		{"a canceled context", testCanceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, newPlace(t))
		})
	}
}

// random returns n bytes that depend only on seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = source.Read(b)
	return b
}

func stage(t *testing.T, s Sink, key string, content []byte) sink.Receipt {
	t.Helper()
	staging, err := s.Stage(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := staging.Write(content); err != nil || n != len(content) {
		t.Fatalf("writing %d bytes: %d, %v", len(content), n, err)
	}
	r, err := staging.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Key != key || r.Size != int64(len(content)) {
		t.Errorf("the receipt of %d bytes at %q says %d bytes at %q", len(content), key, r.Size, r.Key)
	}
	return r
}

func publish(t *testing.T, s Sink, r sink.Receipt) {
	t.Helper()
	if err := s.Publish(t.Context(), r); err != nil {
		t.Error(err)
	}
}

func abort(t *testing.T, s Sink, r sink.Receipt) {
	t.Helper()
	if err := s.Abort(t.Context(), r); err != nil {
		t.Error(err)
	}
}

// throughLedger writes a receipt as JSON and reads it back.
func throughLedger(t *testing.T, r sink.Receipt) sink.Receipt {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back sink.Receipt
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Errorf("the JSON %s decodes to a different receipt:\n%s", b, diff)
	}
	return back
}

func keys(t *testing.T, s Sink, prefix string) []string {
	t.Helper()
	found := []string{}
	err := s.List(t.Context(), prefix, func(key string, _ int64) error {
		found = append(found, key)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

func read(t *testing.T, s Sink, key string) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), key)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer r.Close()
	content := make([]byte, r.Size())
	if _, err := r.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("reading %s: %v", key, err)
	}
	return content
}

// holds checks that the place holds these files and no others.
func holds(t *testing.T, s Sink, want map[string][]byte) {
	t.Helper()
	found := map[string]int64{}
	err := s.List(t.Context(), "", func(key string, size int64) error {
		found[key] = size
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	sizes := map[string]int64{}
	for key, content := range want {
		sizes[key] = int64(len(content))
		if got := read(t, s, key); !bytes.Equal(got, content) {
			t.Errorf("%s reads as different bytes than were written: got %d, wrote %d", key, len(got), len(content))
		}
	}
	if diff := cmp.Diff(sizes, found); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// unseen checks that no reader finds key.
func unseen(t *testing.T, s Sink, key string) {
	t.Helper()
	if found := keys(t, s, ""); len(found) > 0 {
		t.Errorf("List finds %q", found)
	}
	r, err := s.Open(t.Context(), key)
	if err == nil {
		r.Close()
		t.Errorf("Open finds %s", key)
		return
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open fails with %v, want fs.ErrNotExist", err)
	}
}
