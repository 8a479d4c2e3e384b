package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// nightly is a world after a full run and some nights, each of which brought the same resources
// again, and a deletion.
func nightly(t *testing.T, nights int) *world {
	t.Helper()
	gone := `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/9"}}]}`
	var exports atomic.Int64
	w := newWorld(t, bulktest.Options{
		Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 20)...), bulktest.Lines("Basic", resources("Basic", 0, 5)...)},
		// Before the resources' own times, so that each night has all of them.
		TransactionTime: func() time.Time {
			return time.Date(2025, 12, 1, int(exports.Add(1)), 0, 0, 0, time.UTC)
		},
		Deleted: bulktest.Files{bulktest.Lines("Bundle", gone)},
	})
	for range nights + 1 {
		if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// liveRows returns the rows of what is live, with all of their columns, sorted.
func (w *world) liveRows(t *testing.T) []string {
	t.Helper()
	var all []string
	for p, err := range w.lake().Live(t.Context(), w.feed(t)) {
		if err != nil {
			t.Fatal(err)
		}
		f, err := w.dir.Open(t.Context(), p.Key)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parquet.OpenFile(f, f.Size())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range file.RowGroups() {
			rows := g.Rows()
			buffer := make([]parquet.Row, 1)
			for {
				n, err := rows.ReadRows(buffer)
				if n == 1 {
					text := p.Type
					for _, v := range buffer[0] {
						if !v.IsNull() {
							text += fmt.Sprintf(" %d=%v", v.Column(), v)
						}
					}
					all = append(all, text)
				}
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			rows.Close()
		}
		f.Close()
	}
	slices.Sort(all)
	return all
}

func (w *world) verify(t *testing.T) {
	t.Helper()
	begun, all := 0, 0
	v, err := w.lake().Verify(t.Context(), func(_ string, n, of int) {
		if begun++; n != begun || n > of {
			t.Errorf("part %d is said to be %d of %d", begun, n, of)
		}
		all = of
	})
	if err != nil {
		t.Fatal(err)
	}
	if begun != v.Parts || all != v.Parts {
		t.Errorf("told of %d parts, of %d, and verified %d", begun, all, v.Parts)
	}
	if len(v.Problems) > 0 || len(v.Unclaimed) > 0 {
		t.Errorf("verify: %q, unclaimed %q", v.Problems, v.Unclaimed)
	}
}

// wantCompacted compares a feed after a compaction with the one before.
func (w *world) wantCompacted(t *testing.T, before ledger.Feed, rows []string) {
	t.Helper()
	after := w.feed(t)
	if diff := cmp.Diff(rows, w.liveRows(t)); diff != "" {
		t.Errorf("rows (-before +after):\n%.3000s", diff)
	}
	if diff := cmp.Diff(before.Watermarks, after.Watermarks); diff != "" {
		t.Errorf("watermarks:\n%s", diff)
	}
	if diff := cmp.Diff([]any{before.Members, before.Filters, before.Full, before.History}, []any{after.Members, after.Filters, after.Full, after.History}); diff != "" {
		t.Errorf("what a compaction must leave alone:\n%s", diff)
	}
	w.verify(t)
	w.wantManifests(t)
}

func TestCompactMergesNights(t *testing.T) {
	t.Parallel()
	w := nightly(t, 5)
	before, rows := w.feed(t), w.liveRows(t)
	if len(before.Runs) != 6 || len(rows) != 6*25+5 {
		t.Fatalf("%d runs and %d rows", len(before.Runs), len(rows))
	}
	done, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.wantCompacted(t, before, rows)
	after := w.feed(t)
	if len(after.Runs) != 1 || len(after.Dropped) != 6 {
		t.Fatalf("%d live and %d dropped runs", len(after.Runs), len(after.Dropped))
	}
	run, last := after.Runs[0], before.Runs[5]
	if run.Kind != ledger.KindCompaction || !run.Full || run.Parts != 3 || len(run.Replaces) != 6 || run.TransactionTime != last.TransactionTime {
		t.Errorf("the compaction is %+v", run)
	}
	if len(done.Runs) != 1 || done.Runs[0].Rows != int64(len(rows)) || done.Runs[0].After.Parts != 3 || done.Runs[0].Before.Parts < 17 {
		t.Errorf("it says %+v", done)
	}

	again, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{})
	if err != nil || len(again.Runs) > 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	w.gc(t, noGrace)
	w.wantCompacted(t, before, rows)
	w.wantTidy(t)
	if diff := cmp.Diff(w.live(t), w.published(t)); diff != "" {
		t.Errorf("parts after gc (-live +there):\n%s", diff)
	}

	// More nights follow, and what they bring is merged with the compaction.
	w.Feed.Request.Since = time.Time{}
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	before, rows = w.feed(t), w.liveRows(t)
	if _, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{}); err != nil {
		t.Fatal(err)
	}
	w.wantCompacted(t, before, rows)
	if run := w.feed(t).Runs[0]; len(run.Replaces) != 8 || !run.Full {
		t.Errorf("the second compaction is %+v", run)
	}
}

// Parts that are large, or not of the requested types, stay as they are under another name. Full
// runs are not mixed.
func TestCompactSome(t *testing.T) {
	t.Parallel()
	w := nightly(t, 2)
	w.runFull(t, 1)
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	before, rows := w.feed(t), w.liveRows(t)
	if _, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{Types: []string{"Patient"}}); err != nil {
		t.Fatal(err)
	}
	w.wantCompacted(t, before, rows)
	runs := w.feed(t).Runs
	if len(runs) != 2 || !runs[0].Full || !runs[1].Full {
		t.Fatalf("runs %+v, want one for each full one", runs)
	}
	parts := map[string]int{}
	for p, err := range w.lake().Live(t.Context(), w.feed(t)) {
		if err != nil {
			t.Fatal(err)
		}
		parts[p.Type]++
	}
	if parts["Patient"] != 2 || parts["Basic"] != 6 {
		t.Errorf("parts %v", parts)
	}
	large := w.Options
	large.PartBytes = 1000 // all are larger than that
	if done, err := pipeline.Compact(t.Context(), large, pipeline.CompactOptions{}); err != nil || len(done.Runs) > 0 {
		t.Errorf("of large parts: %+v, %v", done, err)
	}
	large.Feed.Keep.Runs = 1
	if _, err := pipeline.GC(t.Context(), large, noGrace); err != nil {
		t.Fatal(err)
	}
	if left := w.feed(t).Runs; len(left) != 1 || left[0].Run != runs[1].Run {
		t.Errorf("retention left %+v", left)
	}
	w.verify(t)
}

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

// A part with a full footer counts as large, however few bytes it has.
func TestCompactLeavesFullFooters(t *testing.T) {
	t.Parallel()
	w := nightly(t, 2)
	for _, r := range w.feed(t).Runs {
		key := lake.PartsKey(r.Run)
		list := bytes.ReplaceAll(w.content(t, key), []byte(`"sha256"`), []byte(`"full_footer": true, "sha256"`))
		if err := w.dir.Put(t.Context(), key, list); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{}); err != nil || len(done.Runs) > 0 {
		t.Errorf("%+v, error %v", done, err)
	}
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
