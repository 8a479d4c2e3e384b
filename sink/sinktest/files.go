package sinktest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/sink"
)

func testPut(t *testing.T, open func() Sink) {
	s := open()
	const key = "_fhirkiln/runs/r1/report.json"
	for _, content := range [][]byte{[]byte("first"), random(20, 70_000), []byte("3"), {}, []byte("last")} {
		if err := s.Put(t.Context(), key, content); err != nil {
			t.Fatal(err)
		}
		holds(t, open(), map[string][]byte{key: content})
	}
}

func testKeys(t *testing.T, open func() Sink) {
	s := open()
	want := map[string][]byte{}
	for i, key := range []string{
		partKey,
		"root.parquet",
		"a/b=c/d e.parquet",
		"a/b+c&d?e#f%2Fg.parquet",
		"a/..b../...",
		"a/\u00e9\u4e16.parquet", // not ASCII
		"probe",
	} {
		content := random(uint64(30+i), 100)
		publish(t, s, stage(t, s, key, content))
		want[key] = content
		put := "put/" + key
		if err := s.Put(t.Context(), put, content); err != nil {
			t.Error(err)
		}
		want[put] = content
	}
	holds(t, s, want)
}

func testBadKeys(t *testing.T, open func() Sink) {
	s := open()
	for _, key := range []string{"", ".", "..", "/", "/x", "../x", "a/../../x", "a/../b", "a/./b", "a//b", "a/", "./a", "a/\xff"} {
		if staging, err := s.Stage(t.Context(), key); err == nil {
			t.Errorf("Stage accepts %q", key)
			_ = staging.Abort(t.Context())
		}
		r := sink.Receipt{Key: key, Size: 1}
		if err := s.Publish(t.Context(), r); err == nil {
			t.Errorf("Publish accepts %q", key)
		}
		if err := s.Abort(t.Context(), r); err == nil {
			t.Errorf("Abort accepts %q", key)
		}
		if err := s.Put(t.Context(), key, []byte("x")); err == nil {
			t.Errorf("Put accepts %q", key)
		}
		if f, err := s.Open(t.Context(), key); err == nil {
			t.Errorf("Open accepts %q", key)
			f.Close()
		}
		if _, _, err := s.Load(t.Context(), key); err == nil {
			t.Errorf("Load accepts %q", key)
		}
		if _, err := s.Swap(t.Context(), key, []byte("x"), ""); err == nil {
			t.Errorf("Swap accepts %q", key)
		}
		if err := s.Remove(t.Context(), key); err == nil {
			t.Errorf("Remove accepts %q", key)
		}
		if err := s.Discard(t.Context(), key); err == nil {
			t.Errorf("Discard accepts %q", key)
		}
		if err := s.Confirm(t.Context(), r); err == nil {
			t.Errorf("Confirm accepts %q", key)
		}
	}
	holds(t, s, nil)
}

func testList(t *testing.T, open func() Sink) {
	s := open()
	if found := keys(t, s, ""); len(found) > 0 {
		t.Errorf("a new sink holds %q", found)
	}
	all := []string{ // in byte order, which differs from the order of folders
		"_fhirkiln/runs/r1/report.json",
		"a-b/x.parquet",
		"a.parquet",
		"a/b.parquet",
		"a/b/c.parquet",
		"a/bc/d.parquet",
		"a/c.parquet",
		"a0",
	}
	for _, key := range slices.Backward(all) {
		if err := s.Put(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	staged := stage(t, s, "a/staged.parquet", []byte("x"))
	defer abort(t, s, staged)
	for _, tt := range []struct {
		prefix string
		want   []string
	}{
		{"", all},
		{"a", all[1:]},
		{"a/", all[3:7]},
		{"a/b", all[3:6]},
		{"a/b/", all[4:5]},
		{"a/b/c.parquet", all[4:5]},
		{"a/b/c.parquet/", []string{}},
		{"_fhirkiln/", all[:1]},
		{"b", []string{}},
		{"a/b/c/d/e", []string{}},
	} {
		if diff := cmp.Diff(tt.want, keys(t, s, tt.prefix)); diff != "" {
			t.Errorf("List(%q) (-want +got):\n%s", tt.prefix, diff)
		}
	}

	enough := errors.New("enough")
	var seen []string
	err := s.List(t.Context(), "a", func(key string, size int64) error {
		if size != int64(len(key)) {
			t.Errorf("%s has %d bytes in the list", key, size)
		}
		if seen = append(seen, key); len(seen) == 2 {
			return enough
		}
		return nil
	})
	if err != enough {
		t.Errorf("List returned %v, want each's error", err)
	}
	if diff := cmp.Diff(all[1:3], seen); diff != "" {
		t.Errorf("keys seen before each's error (-want +got):\n%s", diff)
	}
}

// testListVanishing checks that a file removed during List is not an error.
func testListVanishing(t *testing.T, open func() Sink) {
	s := open()
	var parts []sink.Receipt
	for _, key := range []string{"a/1.parquet", "a/2.parquet", "b/3.parquet"} {
		r := stage(t, s, key, []byte("x"))
		publish(t, s, r)
		parts = append(parts, r)
	}
	err := s.List(t.Context(), "", func(string, int64) error {
		for _, r := range parts {
			abort(t, s, r)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	holds(t, s, nil)
}

func testOpen(t *testing.T, open func() Sink) {
	s := open()
	unseen(t, s, "a/missing.parquet")
	content := random(21, 10_000)
	r := stage(t, s, "a/b/p.parquet", content)
	publish(t, s, r)
	for _, folder := range []string{"a", "a/b"} {
		if f, err := s.Open(t.Context(), folder); err == nil {
			f.Close()
			t.Errorf("Open finds a file at %s", folder)
		}
	}
	f, err := s.Open(t.Context(), "a/b/p.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if f.Size() != int64(len(content)) {
		t.Errorf("Size is %d, want %d", f.Size(), len(content))
	}
	if err := iotest.TestReader(io.NewSectionReader(f, 0, f.Size()), content); err != nil {
		t.Error(err)
	}
	if n, err := f.ReadAt(make([]byte, 10), f.Size()-3); n != 3 || !errors.Is(err, io.EOF) {
		t.Errorf("reading across the end: %d, %v", n, err)
	}
	var readers sync.WaitGroup
	for from := 0; from < len(content); from += 1000 {
		readers.Go(func() {
			got := make([]byte, 1000)
			if _, err := f.ReadAt(got, int64(from)); err != nil && !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			if !bytes.Equal(got, content[from:from+1000]) {
				t.Errorf("wrong bytes at %d", from)
			}
		})
	}
	readers.Wait()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// testCanceled checks that methods called with a canceled context do nothing and say so.
func testCanceled(t *testing.T, open func() Sink) {
	s := open()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	wantCanceled := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a canceled context: %v", what, err)
		}
	}
	_, err := s.Stage(canceled, partKey)
	wantCanceled("Stage", err)
	wantCanceled("Put", s.Put(canceled, partKey, []byte("x")))

	staging, err := s.Stage(t.Context(), partKey)
	if err != nil {
		t.Fatal(err)
	}
	_, err = staging.Finish(canceled)
	wantCanceled("Finish", err)
	if err := staging.Abort(t.Context()); err != nil {
		t.Errorf("Abort after a canceled Finish: %v", err)
	}

	content := random(22, 1000)
	r := stage(t, s, partKey, content)
	wantCanceled("Publish", s.Publish(canceled, r))
	unseen(t, s, partKey)
	publish(t, s, r)
	_, err = s.Open(canceled, partKey)
	wantCanceled("Open", err)
	wantCanceled("List", s.List(canceled, "", func(string, int64) error { return nil }))
	_, _, err = s.Load(canceled, partKey)
	wantCanceled("Load", err)
	_, err = s.Swap(canceled, "a/state.json", []byte("x"), "")
	wantCanceled("Swap", err)
	wantCanceled("Remove", s.Remove(canceled, partKey))
	wantCanceled("Discard", s.Discard(canceled, partKey))
	wantCanceled("Confirm", s.Confirm(canceled, r))
	holds(t, s, map[string][]byte{partKey: content})
}
