package pipeline_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// Live parts are those of the runs that the feed named when it was read.
func TestLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	w.Full = true
	var want []lake.LivePart
	for range 2 {
		r, err := pipeline.Run(t.Context(), w.Options)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Parts {
			want = append(want, lake.LivePart{Feed: "members", Source: "bison", Run: r.Run, Part: p})
		}
	}
	feed := w.feed(t)
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil { // after it was read
		t.Fatal(err)
	}
	read := func(f ledger.Feed) (parts []lake.LivePart, err error) {
		for p, err := range w.lake().Live(t.Context(), f) {
			if err != nil {
				return parts, err
			}
			parts = append(parts, p)
		}
		return parts, nil
	}
	got, err := read(feed)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	one := feed
	one.Runs = feed.Runs[1:]
	if got, err := read(one); len(got) != 3 || got[0].Run != feed.Runs[1].Run || err != nil {
		t.Errorf("of one run: %v, error %v", got, err)
	}
	if err := w.dir.Remove(t.Context(), ledger.Folder(feed.Runs[0].Run)+"parts.json"); err != nil {
		t.Fatal(err)
	}
	if _, err := read(feed); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v for a run that is gone", err)
	}
}

// The watermark is set for what the next run asks for, and noted; a run that was cut off
// would move it on, so that it is refused.
func TestSetWatermark(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	w.Feed.Request.Types = []string{"Patient", "Encounter"}
	const to, later = "2026-01-01T00:00:00+01:00", "2026-01-02T00:00:00Z"
	set := func(to string, types ...string) []lake.MoveReport {
		t.Helper()
		moves, err := pipeline.SetWatermark(t.Context(), w.Options, types, to)
		if err != nil {
			t.Fatal(err)
		}
		return moves
	}
	set(to, "Patient", "Encounter") // nothing ever ran
	if r, err := pipeline.Run(t.Context(), w.Options); err != nil || r.Kind != ledger.KindIncremental {
		t.Fatalf("%v run, error %v", r.Kind, err)
	}
	moved := w.feed(t).Watermarks["Patient"].Time
	if diff := cmp.Diff([]lake.MoveReport{{Type: "Patient", From: moved, To: later}}, set(later, "Patient")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	set("", "Encounter")
	feed := w.feed(t)
	_, has := feed.Watermarks["Encounter"]
	if has || feed.Watermarks["Patient"].Time != later || feed.Watermarks["Patient"].Run != "" {
		t.Errorf("%v", feed.Watermarks)
	}
	var by []ledger.By
	for _, m := range feed.History {
		by = append(by, m.By)
	}
	if want := []ledger.By{"set", "set", "run", "run", "set", "set"}; !slices.Equal(want, by) {
		t.Errorf("history by %v, want %v", by, want)
	}
	if r, err := pipeline.Run(t.Context(), w.Options); err != nil || len(r.Exports) != 2 {
		t.Errorf("%d exports, error %v, want one in full and one since", len(r.Exports), err)
	}
	if _, err := pipeline.SetWatermark(t.Context(), w.Options, nil, "yesterday"); err == nil {
		t.Error("yesterday was taken for an instant")
	}
	remove := w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.Respond(404, nil, "")})
	w.Full = true
	if _, err := pipeline.Run(t.Context(), w.Options); err == nil {
		t.Fatal("a run without its files went well")
	}
	remove()
	var unfinished *pipeline.UnfinishedError
	if _, err := pipeline.SetWatermark(t.Context(), w.Options, nil, to); !errors.As(err, &unfinished) || unfinished.Run != w.feed(t).Unfinished.Run {
		t.Errorf("error %v with a run that was cut off", err)
	}
}

// A run asks for its turn before each export that is at the server, also when it goes on
// with one, and gives it back when it fails.
func TestTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	taken, held := 0, 0
	w.Turn = func(context.Context) (func(), error) {
		taken++
		held++
		return func() { held-- }, nil
	}
	remove := w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.Respond(404, nil, "")})
	if _, err := pipeline.Run(t.Context(), w.Options); err == nil || taken != 1 || held != 0 {
		t.Errorf("error %v, %d turns taken, %d held", err, taken, held)
	}
	remove()
	if r, err := pipeline.Run(t.Context(), w.Options); err != nil || !r.Resumed || taken != 2 || held != 0 {
		t.Errorf("error %v, %d turns taken, %d held", err, taken, held)
	}
	refused := errors.New("no turn")
	w.Turn = func(context.Context) (func(), error) { return nil, refused }
	if _, err := pipeline.Run(t.Context(), w.Options); !errors.Is(err, refused) || w.kickOffs() != 1 {
		t.Errorf("error %v, %d kick-offs", err, w.kickOffs())
	}
}
