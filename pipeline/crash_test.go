package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/sink"
)

var errDead = errors.New("the process is dead")

// mortalStore dies at its nth call. That call may or may not be done, nobody learns which, and
// nothing is done after it. To the store it looks as if the process had been killed.
type mortalStore struct {
	*sink.Dir
	lives atomic.Int64
	last  bool // whether the call at which it dies is done
}

func (m *mortalStore) call(do func() error) error {
	switch left := m.lives.Add(-1); {
	case left > 0:
		return do()
	case left == 0 && m.last:
		_ = do()
	}
	return errDead
}

func (m *mortalStore) Stage(ctx context.Context, key string) (s sink.Staging, err error) {
	err = m.call(func() (err error) { s, err = m.Dir.Stage(ctx, key); return err })
	return &mortalStaging{s, m}, err
}

func (m *mortalStore) Confirm(ctx context.Context, r sink.Receipt) error {
	return m.call(func() error { return m.Dir.Confirm(ctx, r) })
}

func (m *mortalStore) Publish(ctx context.Context, r sink.Receipt) error {
	return m.call(func() error { return m.Dir.Publish(ctx, r) })
}

func (m *mortalStore) Abort(ctx context.Context, r sink.Receipt) error {
	return m.call(func() error { return m.Dir.Abort(ctx, r) })
}

func (m *mortalStore) Discard(ctx context.Context, key string) error {
	return m.call(func() error { return m.Dir.Discard(ctx, key) })
}

func (m *mortalStore) Remove(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := m.call(func() error { return m.Dir.Remove(ctx, key) }); err != nil {
			return err
		}
	}
	return nil
}

func (m *mortalStore) Put(ctx context.Context, key string, content []byte) error {
	return m.call(func() error { return m.Dir.Put(ctx, key, content) })
}

func (m *mortalStore) Swap(ctx context.Context, key string, content []byte, old sink.Version) (v sink.Version, err error) {
	err = m.call(func() (err error) { v, err = m.Dir.Swap(ctx, key, content, old); return err })
	return v, err
}

func (m *mortalStore) Load(ctx context.Context, key string) ([]byte, sink.Version, error) {
	if m.lives.Load() <= 0 {
		return nil, "", errDead
	}
	return m.Dir.Load(ctx, key)
}

type mortalStaging struct {
	sink.Staging
	m *mortalStore
}

func (s *mortalStaging) Write(p []byte) (int, error) {
	if s.m.lives.Load() <= 0 {
		return 0, errDead
	}
	return s.Staging.Write(p)
}

func (s *mortalStaging) Finish(ctx context.Context) (r sink.Receipt, err error) {
	err = s.m.call(func() (err error) { r, err = s.Staging.Finish(ctx); return err })
	return r, err
}

func (s *mortalStaging) Abort(ctx context.Context) error {
	return s.m.call(func() error { return s.Staging.Abort(ctx) })
}

// countCalls returns how many calls do makes to w's store. The store may die at each of them.
func countCalls(w *world, do func()) int64 {
	const lives = 1 << 40
	calls := &mortalStore{Dir: w.dir}
	calls.lives.Store(lives)
	w.Sink = calls
	do()
	w.Sink = w.dir
	return lives - calls.lives.Load()
}

// A process that dies at any of its writes, and is started again, leaves the same rows as one
// that does not die, and asks the server for no second export. The exception is a server that
// answers with the manifest itself: it is asked again if that was not recorded.
func TestDyingAnywhere(t *testing.T) {
	t.Parallel()
	data := bulktest.Files{
		bulktest.Lines("Patient", resources("Patient", 0, 2000)...), // several parts
		bulktest.Lines("Observation", resources("Observation", 0, 10)...),
		bulktest.Lines("Observation", append([]string{`{"id":"no type","meta":{"lastUpdated":"2026-01-02T03:04:05.678Z"}}`}, resources("Observation", 10, 20)...)...),
	}
	missing := bulktest.Files{bulktest.Lines("OperationOutcome", outcome("error"))}
	want := map[string][]string{"Patient": resources("Patient", 0, 2000), "Observation": resources("Observation", 0, 20)}
	for name, test := range map[string]struct {
		faults []string
		step   int64 // how many calls lie between one death and the next
		twice  int64 // at most how many processes may be followed by a second export
	}{
		"at a status URL": {nil, 1, 1}, // only if the process dies between the server's answer and its record
		"at once":         {[]string{"kickoff-200-manifest"}, 3, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := func(t *testing.T) *world {
				w := newWorld(t, bulktest.Options{Data: data, Errors: missing, Faults: test.faults})
				w.Feed.MaxErrors = 1 // so that the watermark moves
				w.Workers, w.PartBytes, w.RowGroupBytes, w.MaxQuarantined = 2, 1, 50_000, 0.5
				return w
			}
			counting := begin(t)
			all := countCalls(counting, func() {
				report, err := pipeline.Run(t.Context(), counting.Options)
				if _, partial := errors.AsType[*pipeline.PartialError](err); !partial {
					t.Fatal(err)
				}
				if len(report.Parts) < 6 {
					t.Errorf("the large file became too few parts to be of use: %v", report.Parts)
				}
			})
			t.Logf("a run that lives makes %d calls", all)
			var twice atomic.Int64
			t.Cleanup(func() {
				if n := twice.Load(); n > test.twice {
					t.Errorf("%d processes were followed by a second export, want at most %d", n, test.twice)
				}
			})
			step := test.step
			if testing.Short() {
				step = 7
			}
			for n := int64(1); n <= all; n += step {
				last := n%2 == 0
				t.Run(fmt.Sprint(n, " ", last), func(t *testing.T) {
					t.Parallel()
					w := begin(t)
					dying := &mortalStore{Dir: w.dir, last: last}
					dying.lives.Store(n)
					w.Sink = dying
					_, err := pipeline.Run(t.Context(), w.Options)
					if feed := w.feed(t); (len(feed.Runs) == 0) != (len(feed.Watermarks) == 0) || len(feed.Runs) == 0 && !errors.Is(err, errDead) {
						t.Errorf("error %v, with runs %v and watermarks %v", err, feed.Runs, feed.Watermarks)
					}
					w.Sink = w.dir
					_, err = pipeline.Run(t.Context(), w.Options)
					if _, partial := errors.AsType[*pipeline.PartialError](err); err != nil && !partial {
						t.Fatalf("the run after: %v", err)
					}
					if got := w.live(t); cmp.Diff(want, got) != "" {
						t.Errorf("rows of live runs: %d patients, %d observations, want 2000 and 20", len(got["Patient"]), len(got["Observation"]))
					}
					if diff := cmp.Diff(w.live(t), w.published(t)); diff != "" {
						t.Errorf("parts that are no live run's (-live +there):\n%.2000s", diff)
					}
					w.wantTidy(t)
					if files, runs := w.serverErrors(t), w.feed(t).Runs; len(files) != len(runs) {
						t.Errorf("%d runs have published what the server says is missing, but there is %q", len(runs), files)
					}
					ofAll := func(r bulktest.Request) bool { return !r.Query.Has("_since") }
					if len(w.requests(bulktest.KickOffEndpoint, ofAll)) > 1 {
						twice.Add(1)
					}
				})
			}
		})
	}
}

// lateData is asked for when an export begins.
type lateData func() []bulktest.File

func (d lateData) Files() []bulktest.File { return d() }

// Attachments that are at the server go with its export. Even a process that cleans up after
// another one, which died while it removed its ledger, knows that the export must stay.
func TestDyingWhileCleaningUpKeepsAttachments(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) *world {
		var w *world
		w = newWorld(t, bulktest.Options{Data: lateData(func() []bulktest.File {
			return []bulktest.File{bulktest.Lines("DocumentReference", `{"resourceType":"DocumentReference","id":"1","meta":{"lastUpdated":"2026-01-02T03:04:05Z"},`+
				`"content":[{"attachment":{"url":"`+w.server.FHIR()+`/Binary/1"}}]}`)}
		})})
		return w
	}
	counting := begin(t)
	all := countCalls(counting, func() {
		report, err := pipeline.Run(t.Context(), counting.Options)
		if err != nil || report.Attachments != 1 {
			t.Fatalf("error %v, %d attachments", err, report.Attachments)
		}
	})
	cleaning := 0
	for n := all - 20; n <= all; n++ {
		w := begin(t)
		dying := &mortalStore{Dir: w.dir}
		dying.lives.Store(n)
		w.Sink = dying
		_, _ = pipeline.Run(t.Context(), w.Options)
		if len(w.feed(t).Ended) == 0 {
			continue // either it is not published yet, or everything is done
		}
		cleaning++
		w.Sink = w.dir
		_, _ = pipeline.Run(t.Context(), w.Options)
		w.wantDeleted(t, 1) // of the second run alone, which brings no rows
	}
	if cleaning < 3 {
		t.Errorf("%d processes died while they cleaned up", cleaning)
	}
}

// Every export that a dying process has started is deleted at the server by the process that
// goes on. This includes exports of lists of members, which end before the run does.
func TestDyingLeavesNoExport(t *testing.T) {
	t.Parallel()
	data := bulktest.Files{
		bulktest.Lines("Group", `{"resourceType":"Group","id":"a","member":[{"entity":{"reference":"Patient/Patient-1"}}]}`),
		bulktest.Lines("Patient", resources("Patient", 0, 3)...),
	}
	begin := func(t *testing.T) *world {
		w := newWorld(t, bulktest.Options{Data: data})
		w.Feed.Request.Level, w.Feed.Groups = bulk.Group, []string{"a"}
		return w
	}
	counting := begin(t)
	all := countCalls(counting, func() {
		if _, err := pipeline.Run(t.Context(), counting.Options); err != nil {
			t.Fatal(err)
		}
	})
	for n := int64(1); n <= all; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := begin(t)
			dying := &mortalStore{Dir: w.dir, last: true}
			dying.lives.Store(n)
			w.Sink = dying
			_, _ = pipeline.Run(t.Context(), w.Options)
			w.Sink = w.dir
			if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
				t.Fatal(err)
			}
			deleted := map[string]bool{}
			for _, r := range w.requests(bulktest.DeleteEndpoint) {
				deleted[r.Path] = true
			}
			if kickOffs := w.kickOffs(); len(deleted) != kickOffs {
				t.Errorf("the server has begun %d exports, and deleted %d", kickOffs, len(deleted))
			}
		})
	}
}
