package pipeline

import (
	"fmt"
	"sync"
	"testing"
)

func TestSeen(t *testing.T) {
	t.Parallel()
	s := newSeen(1 << 20)
	// Four workers look up the same resources: whoever comes first, three of four find each one
	// there.
	const each = 20_000
	var all sync.WaitGroup
	again := make([]int64, 4)
	for n := range again {
		all.Go(func() {
			l := &looker{seen: s}
			for i := range each {
				l.look("Patient", fmt.Append(nil, i), nil)
			}
			again[n] = l.finish()
		})
	}
	all.Wait()
	used := 0
	for i := range s.shards {
		used += s.shards[i].used
	}
	if total := again[0] + again[1] + again[2] + again[3]; total != 3*each || s.byType["Patient"] != 3*each || used != each || s.count.Load() != each {
		t.Errorf("%v were there before, %v by type, of %d", again, s.byType, used)
	}
	l := &looker{seen: s}
	for _, test := range []struct {
		resourceType, id, version string
		again                     int64
	}{
		{"Patient", "7", "", 1},
		{"Patient", "7", "1", 0},
		{"Patient", "7", "2", 0},
		{"Patient", "7", "1", 1},
		{"Device", "7", "", 0},
		{"Patient", "", "", 0},
		{"Patient", "", "", 0},
	} {
		l.look(test.resourceType, []byte(test.id), []byte(test.version))
		if was := l.finish(); was != test.again {
			t.Errorf("%+v: %v", test, was)
		}
	}
}

func TestSeenLetsGo(t *testing.T) {
	t.Parallel()
	const maximum = 10_000
	s := newSeen(maximum)
	l := &looker{seen: s}
	for i := range maximum {
		l.look("Patient", fmt.Append(nil, i), nil)
	}
	for range maximum {
		l.look("Patient", []byte("1"), nil)
	}
	if again := l.finish(); !s.known() || again != maximum {
		t.Error("it does not know as many as it may, or one that was there before is too many")
	}
	for i := range 100 {
		l.look("Patient", fmt.Append(nil, "more", i), nil)
	}
	if l.finish(); s.known() {
		t.Error("it pretends to know")
	}
	for i := range s.shards {
		if s.shards[i].table != nil {
			t.Fatal("it holds what it needs no longer")
		}
	}
	for range 2 {
		l.look("Patient", []byte("x"), nil)
	}
	if l.finish() != 0 {
		t.Error("it tells what it does not know")
	}
	if (*seen)(nil).known() {
		t.Error("none at all knows")
	}
}
