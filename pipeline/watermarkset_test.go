package pipeline_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// SetWatermark sets what the next run asks for, and records it. It refuses if there is an
// interrupted run, which would move the watermark on.
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
	if r, err := pipeline.Run(t.Context(), w.Options); err != nil || len(r.Exports) != 3 {
		t.Errorf("%d exports, error %v, want one for what was deleted, one in full, and one since the other watermark", len(r.Exports), err)
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

// SetWatermark needs no sink, even if an ended run is not tidied up: that is left to the next
// run.
func TestSetWatermarkWithoutASink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	up := w.server.Inject(bulktest.Fault{On: bulktest.DeleteEndpoint, Times: bulktest.Always, Do: bulktest.Respond(503, nil, "")})
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	up()
	ended := w.feed(t).Ended
	o := w.Options
	o.Sink, o.State = nil, w.dir
	if moves, err := pipeline.SetWatermark(t.Context(), o, nil, "2026-01-01T00:00:00Z"); err != nil || len(moves) != 1 {
		t.Errorf("%v, error %v", moves, err)
	}
	if left := w.feed(t).Ended; len(ended) != 1 || !slices.Equal(ended, left) || len(w.ledgers(t)) == 0 {
		t.Errorf("ended runs: %q, then %q", ended, left)
	}
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	w.wantTidy(t)
}

// The history has a move at the time of o.Now, and each call returns its own moves, even at the
// same instant.
func TestSetWatermarkByTheClockOfTheRun(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	for _, typ := range []string{"Patient", "Encounter"} {
		moves, err := pipeline.SetWatermark(t.Context(), c.Options, []string{typ}, "2026-01-01T00:00:00Z")
		if err != nil || len(moves) != 1 || moves[0].Type != typ {
			t.Errorf("%+v, error %v", moves, err)
		}
	}
	for _, m := range c.feed(t).History {
		if !m.At.Equal(c.now()) {
			t.Errorf("%+v, at %v", m, c.now())
		}
	}
}
