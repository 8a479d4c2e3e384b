package pipeline_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// A run that was staged when files were listed, and is published when gc gets to its feed, keeps
// its parts.
func TestGCWhileARunPublishes(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-30 * time.Hour) // it was cut off then, and is resumed today
	w := newWorld(t, bulktest.Options{TransactionTime: func() time.Time { return began },
		Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 3)...)}})
	o := w.Options
	var inventory *lake.Inventory
	o.Now = func() time.Time {
		if inventory == nil {
			return began
		}
		return time.Now()
	}
	o.Sink = &unlocked{Sink: w.dir, confirm: func() {
		if inventory != nil {
			return
		}
		staged := w.files(t, ".staged")
		for _, name := range staged {
			if err := os.Chtimes(filepath.Join(w.dir.String(), name), began, began); err != nil {
				t.Error(err)
			}
		}
		var err error
		if inventory, err = w.lake().TakeInventory(t.Context(), "members"); err != nil || len(staged) == 0 {
			t.Errorf("%d are staged; error %v", len(staged), err)
		}
	}}
	if _, err := pipeline.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if found := w.gc(t, pipeline.GCOptions{Inventory: inventory}); len(found.Files) > 0 {
		t.Errorf("gc removed %+v", found.Files)
	}
	w.wantLive(t, 1)
}

func TestGCIsOneAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resource("Patient", 0))}})
	w.Feed.Keep.Runs = 1
	if found := w.gc(t, noGrace); len(found.Files) > 0 || len(w.files(t, ".json")) > 0 {
		t.Errorf("gc of a feed that never ran: %+v", found)
	}
	w.runFull(t, 2)
	lease, err := ledger.Acquire(t.Context(), w.dir, ledger.Options{Feed: "members", Source: "bison", Purpose: "backfill"})
	if err != nil {
		t.Fatal(err)
	}
	var held *ledger.HeldError
	if _, err := pipeline.GC(t.Context(), w.Options, noGrace); !errors.As(err, &held) {
		t.Errorf("gc while another process works: %v", err)
	}
	if dry := w.gc(t, pipeline.GCOptions{Grace: -1, DryRun: true}); len(dry.Files) == 0 {
		t.Error("a dry run finds nothing while another process works")
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}
