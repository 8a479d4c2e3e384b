package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// publishLog is a store that records what was published in it.
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

// What was staged may be gone when the run is resumed, since stores abort old uploads. The run
// finds that out before it publishes any of the other parts, and starts another export.
func TestPartsThatAreStagedNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	w.Sink = &unlocked{Sink: w.dir, confirm: func() { stop(errDead) }}
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

// muteStore writes the feed's object when a run is added to it, and tells nobody: the answer is
// lost, and whoever looks at the object next gets no answer either.
type muteStore struct {
	*sink.Dir
	swaps atomic.Int64 // those that add a run
	mute  atomic.Bool
}

var errMute = errors.New("no answer")

func (m *muteStore) Swap(ctx context.Context, key string, content []byte, old sink.Version) (sink.Version, error) {
	v, err := m.Dir.Swap(ctx, key, content, old)
	if err == nil && bytes.Contains(content, []byte(`"runs"`)) && m.swaps.Add(1) == 1 {
		m.mute.Store(true)
		return "", errMute
	}
	return v, err
}

func (m *muteStore) Load(ctx context.Context, key string) ([]byte, sink.Version, error) {
	if m.mute.CompareAndSwap(true, false) {
		return nil, "", errMute
	}
	return m.Dir.Load(ctx, key)
}

// The one write by which a run counts may come through without an answer. The run then counts,
// once.
func TestPublishingUnheard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	store := &muteStore{Dir: w.dir}
	w.Sink = store
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil || report.Status != ledger.StatusPublished {
		t.Errorf("error %v, and the report says %s", err, report.Status)
	}
	if store.swaps.Load() < 2 || store.mute.Load() {
		t.Fatal("no answer was lost, or nobody has looked")
	}
	w.wantLive(t, 1)
	w.wantTidy(t)
	w.wantDeleted(t, 1)
	if rows := w.published(t); len(rows["Patient"]) != 20 || len(rows["Observation"]) != 20 || len(rows["Encounter"]) != 20 {
		t.Errorf("published: %v", rows)
	}
}
