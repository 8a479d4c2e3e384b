package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// unlocked is a store without locks, as S3 is. In it something happens before a part is
// confirmed or an object is put.
type unlocked struct {
	pipeline.Sink
	confirm func()
	put     func(key string, content []byte)
}

func (u *unlocked) Confirm(ctx context.Context, r sink.Receipt) error {
	if u.confirm != nil {
		u.confirm()
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return u.Sink.Confirm(ctx, r)
}

func (u *unlocked) Put(ctx context.Context, key string, content []byte) error {
	if u.put != nil {
		u.put(key, content)
	}
	return u.Sink.Put(ctx, key, content)
}

func (w *world) load(t *testing.T, key string) []byte {
	t.Helper()
	content, _, err := w.dir.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// wantLive fails unless n runs are live, with their lists and their parts.
func (w *world) wantLive(t *testing.T, n int) {
	t.Helper()
	feed := w.feed(t)
	if len(feed.Runs) != n {
		t.Errorf("%d runs are live, want %d", len(feed.Runs), n)
	}
	for part, err := range w.lake().Live(t.Context(), feed) {
		if err == nil {
			_, err = os.Stat(filepath.Join(w.dir.String(), part.Key))
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// silence makes the feed's lease look to others as if it had been silent for its TTL.
func (w *world) silence(ctx context.Context) error {
	key := ledger.FeedKey(w.Feed.Name)
	raw, version, err := w.dir.Load(ctx, key)
	if err != nil {
		return err
	}
	var feed map[string]any
	if err := json.Unmarshal(raw, &feed); err != nil {
		return err
	}
	delete(feed, "lease")
	feed["sequence"] = feed["sequence"].(float64) + 1
	if raw, err = json.Marshal(feed); err != nil {
		return err
	}
	_, err = w.dir.Swap(ctx, key, raw, version)
	return err
}

// A run is given up, or ends, after another process has taken it over. What is staged belongs to
// that process, which goes on with the run.
func TestGivingUpWhatIsAnothers(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{"given up": pipeline.ErrGiveUp, "stopped": errDead} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: oneOfEach()})
			stopAtConfirm := func(cause error, before func()) error {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var once sync.Once
				o := w.Options
				o.Sink = &unlocked{Sink: w.dir, confirm: func() {
					once.Do(func() {
						before()
						cancel(cause)
					})
				}}
				_, err := pipeline.Run(ctx, o)
				return err
			}
			err := stopAtConfirm(cause, func() {
				if err := w.silence(t.Context()); err != nil {
					t.Error(err)
				}
				if err := stopAtConfirm(errDead, func() {}); !errors.Is(err, errDead) {
					t.Errorf("the other process: %v", err)
				}
			})
			if !errors.Is(err, cause) {
				t.Errorf("error %v", err)
			}
			report, err := pipeline.Run(t.Context(), w.Options)
			if err != nil || !report.Resumed || w.kickOffs() != 1 {
				t.Errorf("the next run: %v; resumed: %v, after %d kick-offs", err, report.Resumed, w.kickOffs())
			}
			w.wantLive(t, 1)
			w.wantTidy(t)
		})
	}
}

// A run is given up, and its machine falls asleep while that is being recorded. Another process
// takes the run over and publishes it. The process that wakes up leaves it alone.
func TestGivingUpAsleep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 3)...)}})
	ctx, cancel := context.WithCancelCause(t.Context())
	sleeper := w.Options
	slept := false
	sleeper.Sink = &unlocked{Sink: w.dir,
		confirm: func() { cancel(pipeline.ErrGiveUp) },
		put: func(_ string, content []byte) {
			if slept || !strings.Contains(string(content), "it failed") {
				return
			}
			slept = true
			if err := w.silence(t.Context()); err != nil {
				t.Error(err)
				return
			}
			other := w.Options
			other.Sink = &unlocked{Sink: w.dir}
			if report, err := pipeline.Run(t.Context(), other); err != nil || !report.Resumed {
				t.Errorf("the other process: %v", err)
			}
		}}
	if _, err := pipeline.Run(ctx, sleeper); err == nil || !slept {
		t.Errorf("slept: %v, error %v", slept, err)
	}
	w.wantLive(t, 1)
}

// An earlier object of the feed is put back, from the middle of a run that has been published
// since. Nothing of that run is removed, so that the right object can still be put back.
func TestPuttingBackAnEarlierObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 3)...)}})
	key := ledger.FeedKey("members")
	var earlier []byte
	o := w.Options
	o.Sink = &unlocked{Sink: w.dir, confirm: func() { earlier = w.load(t, key) }}
	if _, err := pipeline.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	newest := w.load(t, key)
	if !bytes.Contains(earlier, []byte(`"unfinished"`)) || bytes.Contains(newest, []byte(`"unfinished"`)) {
		t.Fatal("the objects are not of amid the run and of after it")
	}
	put := func(object []byte) {
		t.Helper()
		if err := w.dir.Put(t.Context(), key, object); err != nil {
			t.Fatal(err)
		}
	}
	put(earlier)
	w.runFull(t, 1)
	w.wantLive(t, 1)
	w.Options.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	if found := w.gc(t, pipeline.GCOptions{}); len(found.Files) > 0 {
		t.Errorf("gc removes %+v", found.Files)
	}
	put(newest)
	w.wantLive(t, 1)
}

// A run whose ledger cannot be read is thrown away completely, even if the process is killed
// while it does so.
func TestAbandoningIsDoneByTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 3)...)}})
	dying := &mortalStore{Dir: w.dir}
	dying.lives.Store(12)
	o := w.Options
	o.Sink = dying
	if _, err := pipeline.Run(t.Context(), o); err == nil {
		t.Fatal("it did not die")
	}
	unfinished := w.feed(t).Unfinished
	if unfinished == nil {
		t.Fatal("nothing is unfinished")
	}
	w.editLedgers(t, func([]byte) []byte { return []byte("{") })
	for lives := int64(1); w.feed(t).Unfinished != nil && lives < 20; lives++ {
		dying.lives.Store(lives)
		_, _ = pipeline.Cancel(t.Context(), o)
	}
	if w.feed(t).Unfinished != nil || len(w.ledgers(t)) == 0 {
		t.Fatal("it was not killed in between")
	}
	w.runFull(t, 1)
	for _, name := range w.ledgers(t) {
		if strings.Contains(name, unfinished.Run) {
			t.Errorf("left: %s", name)
		}
	}
	w.wantLive(t, 1)
}

// If the state is apart from the parts, gc still recognizes what was staged by a run that was
// thrown away unread.
func TestAbandoningWithTheStateApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{
		bulktest.Lines("Patient", append(resources("Patient", 0, 3), `{"id":"no type"}`)...)}})
	state, err := sink.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	w.State, w.MaxQuarantined = state, -1
	if _, err := pipeline.Run(t.Context(), w.Options); err == nil || len(w.files(t, ".staged")) == 0 {
		t.Fatalf("nothing is staged; error %v", err)
	}
	feed, err := ledger.Read(t.Context(), state, w.Feed.Name)
	if err != nil || feed.Unfinished == nil {
		t.Fatal("nothing is unfinished", err)
	}
	damaged := 0
	err = state.List(t.Context(), ledger.Folder(feed.Unfinished.Run)+"ledger/", func(key string, _ int64) error {
		damaged++
		return state.Put(t.Context(), key, []byte("{"))
	})
	if err != nil || damaged == 0 {
		t.Fatal(damaged, err)
	}
	if _, err := pipeline.Cancel(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.gc(t, noGrace)
	}
	if left := w.files(t, ".staged"); len(left) > 0 {
		t.Errorf("left staged: %q", left)
	}
	err = state.List(t.Context(), ledger.Folder(feed.Unfinished.Run), func(key string, _ int64) error {
		t.Errorf("left: %s", key)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
