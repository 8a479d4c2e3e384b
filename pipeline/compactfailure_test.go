package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

func TestCompactLeavesUnfinishedRunsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resource("Patient", 0), `{"id":"no type","meta":{"lastUpdated":"2026-01-02T03:04:05.678Z"}}`)}})
	if done, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{}); err != nil || len(done.Runs) > 0 {
		t.Errorf("of a feed that never ran: %+v, %v", done, err)
	}
	w.MaxQuarantined = -1
	if _, err := pipeline.Run(t.Context(), w.Options); err == nil {
		t.Fatal("the run ought to fail")
	}
	before := w.feed(t).Unfinished
	var blocked *pipeline.CompactBlockedError
	if _, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{}); !errors.As(err, &blocked) {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(before, w.feed(t).Unfinished); diff != "" {
		t.Errorf("the unfinished run (-before +after):\n%s", diff)
	}
}

// A damaged part ends the compaction, which has changed nothing.
func TestCompactOfDamagedParts(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(content []byte) []byte{
		"gone":       func([]byte) []byte { return nil },
		"no Parquet": func([]byte) []byte { return []byte("PAR1 damaged PAR1") },
		"one byte, of what Parquet has no checksum of": func(content []byte) []byte {
			at := bytes.LastIndex(content, []byte("fhirkiln version"))
			content[at] ^= 1
			return content
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := nightly(t, 2)
			for p, err := range w.lake().Live(t.Context(), w.feed(t)) {
				if err != nil {
					t.Fatal(err)
				}
				if p.Type != "Basic" {
					continue
				}
				if content := damage(w.content(t, p.Key)); content == nil {
					err = w.dir.Remove(t.Context(), p.Key)
				} else {
					err = w.dir.Put(t.Context(), p.Key, content)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			before, parts := w.feed(t), len(w.files(t, ".parquet"))
			var changed *lake.PartChangedError
			if _, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{}); !errors.As(err, &changed) || !strings.Contains(changed.Key, "Basic") {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(before.Runs, w.feed(t).Runs); diff != "" {
				t.Errorf("runs:\n%s", diff)
			}
			w.wantTidy(t)
			if diff := len(w.files(t, ".parquet")) - parts; diff != 0 {
				t.Errorf("%d more parts than before", diff)
			}
		})
	}
}

func (w *world) content(t *testing.T, key string) []byte {
	t.Helper()
	f, err := w.dir.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// A compaction that dies at any of its writes has changed either nothing or everything that
// readers see. The next compaction or run cleans up.
func TestCompactDyingAnywhere(t *testing.T) {
	t.Parallel()
	counting := nightly(t, 2)
	all := countCalls(counting, func() {
		if _, err := pipeline.Compact(t.Context(), counting.Options, pipeline.CompactOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	step := int64(1)
	if testing.Short() {
		step = 7
	}
	for n := int64(1); n <= all; n += step {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := nightly(t, 2)
			before, rows := w.feed(t), w.liveRows(t)
			dying := &mortalStore{Dir: w.dir, last: n%2 == 0}
			dying.lives.Store(n)
			w.Sink = dying
			_, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{})
			if err != nil && !errors.Is(err, errDead) {
				t.Error(err)
			}
			if diff := cmp.Diff(rows, w.liveRows(t)); diff != "" {
				t.Errorf("rows (-before +after the death):\n%.3000s", diff)
			}
			w.Sink = w.dir
			if n%3 == 0 { // a run cleans up as well
				w.Feed.Request.Level = bulk.System
				if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
					t.Fatal(err)
				}
				before, rows = w.feed(t), w.liveRows(t)
			}
			if _, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{}); err != nil {
				t.Fatal(err)
			}
			w.wantCompacted(t, before, rows)
			w.gc(t, noGrace)
			w.wantCompacted(t, before, rows)
			w.wantTidy(t)
			if diff := cmp.Diff(w.live(t), w.published(t)); diff != "" {
				t.Errorf("parts (-live +there):\n%s", diff)
			}
			if len(w.feed(t).Runs) != 1 {
				t.Errorf("runs %+v", w.feed(t).Runs)
			}
		})
	}
}
