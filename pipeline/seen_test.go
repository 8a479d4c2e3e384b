package pipeline

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func TestSeen(t *testing.T) {
	t.Parallel()
	s := newSeen(1 << 20)
	// Four workers see the same: whoever comes first, three times in four it was there.
	const each = 20_000
	var all sync.WaitGroup
	again := make([]atomic.Int64, 4)
	for n := range again {
		all.Go(func() {
			for i := range each {
				s.look("Patient", fmt.Append(nil, i), nil, &again[n])
			}
			s.settle() // beside the others' look
		})
	}
	all.Wait()
	used, total := 0, int64(0)
	for i := range s.shards {
		used += s.shards[i].used
	}
	for i := range again {
		total += again[i].Load()
	}
	if total != 3*each || s.byType["Patient"] != 3*each || used != each {
		t.Errorf("%d were there before, %v by type, of %d", total, s.byType, used)
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
		var again atomic.Int64
		s.look(test.resourceType, []byte(test.id), []byte(test.version), &again)
		s.settle()
		if was := again.Load() == 1; was != test.again {
			t.Errorf("%+v: %v", test, was)
		}
	}
}

func TestSeenLetsGo(t *testing.T) {
	t.Parallel()
	const most = 10_000
	s := newSeen(most)
	var again atomic.Int64
	for i := range most {
		s.look("Patient", fmt.Append(nil, i), nil, &again)
	}
	for range most {
		s.look("Patient", []byte("1"), nil, &again)
	}
	if s.settle(); !s.known() || again.Load() != most {
		t.Error("it does not know as many as it may, or one that was there before is too many")
	}
	for i := range countEach * len(s.shards) {
		s.look("Patient", fmt.Append(nil, "more", i), nil, &again)
	}
	if s.settle(); s.known() {
		t.Error("it pretends to know")
	}
	for i := range s.shards {
		if s.shards[i].table != nil || s.shards[i].late != nil {
			t.Fatal("it holds what it needs no longer")
		}
	}
	for range 2 {
		s.look("Patient", []byte("x"), nil, &again)
	}
	if s.settle(); again.Load() != most {
		t.Error("it tells what it does not know")
	}
	none := (*seen)(nil)
	if none.settle(); none.known() {
		t.Error("none at all knows")
	}
}
