package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

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
