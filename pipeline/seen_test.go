package pipeline

import (
	"fmt"
	"sync"
	"testing"
)

func TestSeen(t *testing.T) {
	t.Parallel()
	s := newSeen(1 << 20)
	// Four workers see the same: whoever comes first, three times in four it was there.
	const each = 20_000
	var all sync.WaitGroup
	again := make([]int, 4)
	for n := range again {
		all.Go(func() {
			for i := range each {
				if s.look("Patient", fmt.Append(nil, i), nil) {
					again[n]++
				}
			}
		})
	}
	all.Wait()
	used := 0
	for i := range s.shards {
		used += s.shards[i].used
	}
	if total := again[0] + again[1] + again[2] + again[3]; total != 3*each || s.byType["Patient"] != 3*each || used != each {
		t.Errorf("%v were there before, %v by type, of %d", again, s.byType, used)
	}
	for _, test := range []struct {
		resourceType, id, version string
		again                     bool
	}{
		{"Patient", "7", "", true},
		{"Patient", "7", "1", false},
		{"Patient", "7", "2", false},
		{"Patient", "7", "1", true},
		{"Device", "7", "", false},
		{"Patient", "", "", false},
		{"Patient", "", "", false},
	} {
		if was := s.look(test.resourceType, []byte(test.id), []byte(test.version)); was != test.again {
			t.Errorf("%+v: %v", test, was)
		}
	}
}

func TestSeenLetsGo(t *testing.T) {
	t.Parallel()
	const most = 10_000
	s := newSeen(most)
	for i := range most {
		s.look("Patient", fmt.Append(nil, i), nil)
	}
	for range most {
		s.look("Patient", []byte("1"), nil)
	}
	if !s.known() {
		t.Error("it does not know as many as it may, or one that was there before is too many")
	}
	for i := range countEach * len(s.shards) {
		s.look("Patient", fmt.Append(nil, "more", i), nil)
	}
	if s.known() {
		t.Error("it pretends to know")
	}
	for i := range s.shards {
		if s.shards[i].table != nil {
			t.Fatal("it holds what it needs no longer")
		}
	}
	if again := s.look("Patient", []byte("x"), nil); again {
		t.Error("it tells what it does not know")
	}
	if (*seen)(nil).known() {
		t.Error("none at all knows")
	}
}
