package sinktest

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"testing"

	"fhirkiln/sink"
)

const stateKey = "_fhirkiln/feeds/members.json"

func load(t *testing.T, s Sink, key string) (string, sink.Version) {
	t.Helper()
	content, v, err := s.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if v == "" {
		t.Errorf("%s is there and has no version", key)
	}
	return string(content), v
}

func testSwap(t *testing.T, open func() Sink) {
	s := open()
	notThere := func() {
		t.Helper()
		if content, v, err := s.Load(t.Context(), stateKey); !errors.Is(err, fs.ErrNotExist) || content != nil || v != "" {
			t.Errorf("Load of a missing file: %q, %q, %v", content, v, err)
		}
	}
	wantChanged := func(old sink.Version) {
		t.Helper()
		if v, err := s.Swap(t.Context(), stateKey, []byte("never"), old); !errors.Is(err, sink.ErrChanged) || v != "" {
			t.Errorf("Swap of the version %q: %q, %v; want ErrChanged", old, v, err)
		}
	}
	swap := func(s Sink, content string, old sink.Version) sink.Version {
		t.Helper()
		v, err := s.Swap(t.Context(), stateKey, []byte(content), old)
		if err != nil {
			t.Fatal(err)
		}
		if got, now := load(t, open(), stateKey); got != content || now != v {
			t.Errorf("after Swap the file is %q at %q, want %q at %q", got, now, content, v)
		}
		return v
	}

	notThere()
	wantChanged("5d41402abc4b2a76b9719d911017c592") // of no file at all
	notThere()
	first := swap(s, "first", "")
	wantChanged("")
	second := swap(open(), "second, by another process", first)
	if first == second {
		t.Errorf("two different contents have the version %q", first)
	}
	wantChanged(first)
	wantChanged("")
	third := swap(s, "", second) // an empty file is a file
	holds(t, s, map[string][]byte{stateKey: {}})
	swap(s, strings.Repeat("large", 50_000), third)
	if err := s.Remove(t.Context(), stateKey); err != nil {
		t.Error(err)
	}
	notThere()
	wantChanged(third)
	swap(s, "again", "")

	// Load reads what was put as well.
	if err := s.Put(t.Context(), "a/put.json", []byte("put")); err != nil {
		t.Fatal(err)
	}
	if got, _ := load(t, s, "a/put.json"); got != "put" {
		t.Errorf("Load reads %q of what was put", got)
	}
}

// testSwapLost checks that a Swap retried with the old version, since the first one's outcome
// is unknown, fails with ErrChanged.
func testSwapLost(t *testing.T, open func() Sink) {
	s := open()
	old, err := s.Swap(t.Context(), stateKey, []byte("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Swap(t.Context(), stateKey, []byte("2"), old); err != nil {
		t.Fatal(err)
	}
	if _, err := open().Swap(t.Context(), stateKey, []byte("3"), old); !errors.Is(err, sink.ErrChanged) {
		t.Errorf("the second Swap of one version: %v", err)
	}
	if got, _ := load(t, s, stateKey); got != "2" {
		t.Errorf("the file is now %q", got)
	}
}

// testSwapRace has many writers increment one number: no increment may be lost or count
// twice.
func testSwapRace(t *testing.T, open func() Sink) {
	const writers, increments = 16, 10
	first := open()
	if _, err := first.Swap(t.Context(), stateKey, []byte("0 by nobody"), ""); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for w := range writers {
		s := first
		if w%4 == 0 {
			s = open()
		}
		all.Go(func() {
			for done := 0; done < increments; {
				content, v, err := s.Load(t.Context(), stateKey)
				if err != nil {
					t.Error(err)
					return
				}
				text, _, _ := strings.Cut(string(content), " ")
				n, err := strconv.Atoi(text)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = s.Swap(t.Context(), stateKey, fmt.Appendf(nil, "%d by writer %d", n+1, w), v)
				switch {
				case err == nil:
					done++
				case !errors.Is(err, sink.ErrChanged):
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	got, _ := load(t, first, stateKey)
	if want := strconv.Itoa(writers * increments); !strings.HasPrefix(got, want+" ") {
		t.Errorf("after %s increments the file is %q", want, got)
	}
}

func testSwapCreates(t *testing.T, open func() Sink) {
	s := open()
	for round := range 5 {
		key := fmt.Sprintf("a/%d.json", round)
		var (
			all sync.WaitGroup
			mu  sync.Mutex
			won []string
		)
		for w := range 8 {
			all.Go(func() {
				content := fmt.Sprintf("by %d", w)
				_, err := s.Swap(t.Context(), key, []byte(content), "")
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won = append(won, content)
				case !errors.Is(err, sink.ErrChanged):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got, _ := load(t, s, key); len(won) != 1 || won[0] != got {
			t.Errorf("%q created the file, which is %q", won, got)
		}
	}
}
