package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
)

// atOnce is a server that answers each kick-off with a manifest. Each manifest has the given
// number of files, of one patient each, at URLs that no other manifest has.
type atOnce struct {
	pipeline.Server
	files    int
	kickOffs int
}

func (s *atOnce) KickOff(context.Context, bulk.Request) (bulk.Job, error) {
	s.kickOffs++
	m := &bulk.Manifest{TransactionTime: time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC), TransactionTimeText: "2026-03-01T02:00:00Z"}
	for n := range s.files {
		m.Output = append(m.Output, bulk.File{Type: "Patient", URL: fmt.Sprintf("https://h.example/%d/%d", s.kickOffs, n), Count: 1})
	}
	return bulk.Job{Manifest: m}, nil
}

func (s *atOnce) Open(_ context.Context, _ *bulk.Manifest, f bulk.File) (pipeline.Stream, error) {
	line := fmt.Sprintf(`{"resourceType":"Patient","id":%q}`+"\n", path.Base(f.URL))
	return lineStream{strings.NewReader(line)}, nil
}

type lineStream struct{ *strings.Reader }

func (s lineStream) Close() error            { return nil }
func (s lineStream) Stats() bulk.StreamStats { return bulk.StreamStats{Bytes: s.Size(), Attempts: 1} }

// A manifest that comes with the answer to a kick-off may be too long for one ledger entry. If
// the process dies after the first entry, another export is started, about which nothing is
// known before.
func TestDyingWhileAManifestIsWrittenDown(t *testing.T) {
	t.Parallel()
	const files = 10_001
	w := newWorld(t, bulktest.Options{})
	server := &atOnce{files: files}
	w.Server = server
	dying := &mortalStore{Dir: w.dir, last: true}
	w.Sink = dying
	for n := int64(1); !w.ledgersHold(t, `"listed":`); n++ {
		w.Fresh, server.kickOffs = true, 0
		dying.lives.Store(n)
		if _, err := pipeline.Run(t.Context(), w.Options); !errors.Is(err, errDead) {
			t.Fatalf("error %v", err)
		}
	}
	if w.ledgersHold(t, `"complete":`) {
		t.Fatal("the manifest is in one entry")
	}
	w.Sink, w.Fresh = w.dir, false
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil || !report.Resumed || server.kickOffs != 2 {
		t.Errorf("error %v; resumed: %v, after %d kick-offs", err, report.Resumed, server.kickOffs)
	}
	if rows := len(w.published(t)["Patient"]); rows != files || report.Resources != files {
		t.Errorf("%d rows, %d resources in the report, want %d", rows, report.Resources, files)
	}
	w.wantTidy(t)
}
