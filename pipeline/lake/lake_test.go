package lake_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a lake in a folder, to which publish publishes without any server.
type world struct {
	lake.Lake
	dir  *sink.Dir
	keep lake.Retention
	now  time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := openDir(t)
	return &world{Lake: lake.Lake{Parts: dir, State: dir}, dir: dir, now: time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)}
}

func openDir(t *testing.T) *sink.Dir {
	t.Helper()
	dir, err := sink.OpenDir(filepath.Join(t.TempDir(), "lake"))
	must(t, err)
	t.Cleanup(func() { dir.Close() })
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// a describes a run to publish.
type a struct {
	feed      string // default: members
	kind      ledger.Kind
	unchecked bool     // not compared with what was live
	types     []string // one resource of each; default: Patient
	asked     []string // the types that it asked for; default: all

	partial bool
}

// publish publishes as a real run does: its parts, its report, and then all of it by one write
// of the feed's object.
func (w *world) publish(t *testing.T, what a) *lake.Report {
	t.Helper()
	ctx := t.Context()
	r := &lake.Report{Run: lake.NewRunID(w.now), Feed: cmp.Or(what.feed, "members"), Source: "bison", Kind: cmp.Or(what.kind, ledger.KindFull),
		Status: ledger.StatusPublished, Started: w.now, Finished: w.now}
	if what.partial {
		r.Status = ledger.StatusPartial
	}
	x := lake.ExportReport{Role: "data", Types: what.asked}
	if r.Kind == ledger.KindIncremental {
		x.Since = &w.now
	}
	r.Exports = append(r.Exports, x)
	types := what.types
	if types == nil {
		types = []string{"Patient"}
	}
	run := ledger.PublishedRun{Run: r.Run, Published: w.now, Kind: r.Kind, Status: r.Status, Supersedes: !what.unchecked, Parts: int64(len(types))}
	for n, resourceType := range types {
		content := parquet(t, resourceType)
		key := lake.PartKey{Type: resourceType, Source: r.Source, Feed: r.Feed, Run: r.Run, Name: lake.FileName("p", int64(n), 1)}.String()
		must(t, w.Parts.Put(ctx, key, content))
		sum := sha256.Sum256(content)
		r.Parts = append(r.Parts, lake.Part{Type: resourceType, Key: key, Rows: 1, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])})
		r.Files = append(r.Files, lake.FileReport{Type: resourceType, Resources: 1, Lines: 1})
		r.Resources++
		run.Bytes += int64(len(content))
	}
	run.Resources = r.Resources
	must(t, w.PutReport(ctx, r))
	w.change(t, r.Feed, func(f *ledger.Feed) {
		f.Runs = append(f.Runs, run)
		gone, err := w.Droppable(ctx, *f, w.keep, w.now)
		must(t, err)
		f.Drop(gone, w.now)
	})
	w.putManifests(t, r.Feed)
	return r
}

func (w *world) putManifests(t *testing.T, feed string) {
	t.Helper()
	must(t, w.under(t, feed, func(lease *ledger.Lease) error { return w.PutManifests(lease.Context(), lease) }))
}

// parquet returns a part with one resource, or one tombstone.
func parquet(t *testing.T, resourceType string) []byte {
	t.Helper()
	var part bytes.Buffer
	o := columnar.Options{Create: func(context.Context, string) (io.Writer, error) { return &part, nil }}
	w, line := columnar.NewWriter(o), fmt.Sprintf(`{"resourceType":%q,"id":"1"}`, resourceType)
	if resourceType == columnar.Deleted {
		w = columnar.NewTombstoneWriter(o)
		line = `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/1"}}]}`
	}
	_, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(line), 0), &columnar.Origin{})
	must(t, err)
	_, err = w.Close()
	must(t, err)
	return part.Bytes()
}

// under calls do with a feed's lease.
func (w *world) under(t *testing.T, feed string, do func(*ledger.Lease) error) error {
	t.Helper()
	lease, err := ledger.Acquire(t.Context(), w.State, ledger.Options{Feed: feed, Source: "bison"})
	must(t, err)
	return errors.Join(do(lease), lease.Release(t.Context()))
}

// change changes a feed's object.
func (w *world) change(t *testing.T, feed string, change func(*ledger.Feed)) {
	t.Helper()
	must(t, w.under(t, feed, func(lease *ledger.Lease) error {
		return lease.Update(lease.Context(), func(f *ledger.Feed) error {
			change(f)
			return nil
		})
	}))
}

func (w *world) feed(t *testing.T, name string) ledger.Feed {
	t.Helper()
	f, err := ledger.Read(t.Context(), w.State, name)
	must(t, err)
	return f
}

// live returns the keys of all that is live of feeds, sorted.
func (w *world) live(t *testing.T, feeds ...string) []string {
	t.Helper()
	var keys []string
	for _, name := range feeds {
		for p, err := range w.Live(t.Context(), w.feed(t, name)) {
			must(t, err)
			keys = append(keys, p.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

// there returns the keys of all files that end in suffix.
func (w *world) there(t *testing.T, suffix string) []string {
	t.Helper()
	var keys []string
	must(t, w.dir.List(t.Context(), "", func(key string, _ int64) error {
		if strings.HasSuffix(key, suffix) {
			keys = append(keys, key)
		}
		return nil
	}))
	return keys
}

func (w *world) put(t *testing.T, s lake.Store, key string) {
	t.Helper()
	must(t, s.Put(t.Context(), key, []byte("x")))
}

// A run that has published nothing gets no list of parts, only a report.
func TestPutReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := &lake.Report{Run: "r1", Feed: "members", Status: lake.StatusFailed, Error: "no answer", Exports: []lake.ExportReport{{Level: "group", Role: "data"}}}
	must(t, w.PutReport(t.Context(), want))
	got, err := w.Report(t.Context(), "r1")
	must(t, err)
	if got.Status != want.Status || got.Error != want.Error || got.Exports[0].Level != "group" {
		t.Errorf("the report came back as %+v", got)
	}
	if _, err := w.PartsOf(t.Context(), "r1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v of its parts", err)
	}
	if _, err := w.Report(t.Context(), "r2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v of another run's report", err)
	}
	for _, key := range []string{lake.ReportKey("r1"), lake.PartsKey("r1")} {
		must(t, w.State.Put(t.Context(), key, []byte("{")))
	}
	_, ofReport := w.Report(t.Context(), "r1")
	_, ofParts := w.PartsOf(t.Context(), "r1")
	for _, err := range []error{ofReport, ofParts} {
		if _, damaged := errors.AsType[*ledger.DamagedError](err); !damaged {
			t.Errorf("error %v of a damaged file", err)
		}
	}
}
