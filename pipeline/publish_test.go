package pipeline_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/sink"
)

// publishLog is a store that knows what was published in it.
type publishLog struct {
	*sink.Dir
	mu   sync.Mutex
	keys []string
}

func (l *publishLog) Publish(ctx context.Context, r sink.Receipt) error {
	l.mu.Lock()
	l.keys = append(l.keys, r.Key)
	l.mu.Unlock()
	return l.Dir.Publish(ctx, r)
}

// What was staged may be gone when the run goes on, for stores abort uploads that are old. That
// is found out before any of the other parts is published, and another export is begun.
func TestPartsThatAreStagedNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	w.Sink = &unlocked{State: w.dir, confirm: func() { stop(errDead) }}
	if _, err := pipeline.Run(ctx, w.Options); !errors.Is(err, errDead) {
		t.Fatalf("error %v", err)
	}
	unfinished, staged := w.feed(t).Unfinished, w.files(t, ".staged")
	if unfinished == nil || len(staged) != 3 {
		t.Fatalf("unfinished: %+v, with %q staged", unfinished, staged)
	}
	if err := os.Remove(filepath.Join(w.dir.String(), staged[0])); err != nil {
		t.Fatal(err)
	}

	log := &publishLog{Dir: w.dir}
	w.Sink = log
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil || report.Resumed || w.kickOffs() != 2 {
		t.Errorf("error %v; resumed: %v, after %d kick-offs", err, report.Resumed, w.kickOffs())
	}
	if slices.ContainsFunc(log.keys, func(key string) bool { return strings.Contains(key, unfinished.Run) }) {
		t.Errorf("a run was published of which a part was gone: %q", log.keys)
	}
	if rows := w.published(t); len(rows["Patient"]) != 20 || len(rows["Observation"]) != 20 || len(rows["Encounter"]) != 20 {
		t.Errorf("published: %v", rows)
	}
	w.wantTidy(t)
	w.wantDeleted(t, 2)
}
