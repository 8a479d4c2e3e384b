package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
)

// Cancel works on what a process that died at any of its writes has left, even if the canceling
// process dies too: nothing of the run is left, and what is live stays.
func TestCancelAnywhere(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) *world {
		w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 1000)...)}})
		w.Workers, w.PartBytes, w.RowGroupBytes = 1, 1, 50_000
		if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
			t.Fatal(err)
		}
		w.Full = true
		return w
	}
	counting := begin(t)
	all := countCalls(counting, func() {
		if _, err := pipeline.Run(t.Context(), counting.Options); err != nil {
			t.Fatal(err)
		}
	})
	for n := int64(1); n <= all; n += 3 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := begin(t)
			dying := &mortalStore{Dir: w.dir, last: n%2 == 0}
			dying.lives.Store(n)
			w.Sink = dying
			_, err := pipeline.Run(t.Context(), w.Options)
			published := len(w.feed(t).Runs)
			if published == 1 && !errors.Is(err, errDead) {
				t.Fatal(err)
			}
			dying.lives.Store(2 + n%7) // the one that cancels dies too
			_, _ = pipeline.Cancel(t.Context(), w.Options)
			w.Sink = w.dir
			canceled, err := pipeline.Cancel(t.Context(), w.Options)
			if err != nil {
				t.Fatal(err)
			}
			if canceled.Kept > 0 {
				t.Errorf("the server kept %d exports", canceled.Kept)
			}
			w.wantTidy(t)
			if runs := w.feed(t).Runs; len(runs) != published {
				t.Errorf("%d runs are live, want %d", len(runs), published)
			}
			v, err := w.lake().Verify(t.Context(), nil)
			if err != nil || len(v.Problems)+len(v.Unclaimed)+v.NotLive > 0 || v.Runs != published || v.Rows != int64(1000*published) {
				t.Errorf("%+v, error %v", v, err)
			}
			// Nothing is left to cancel, and the feed goes on.
			if again, err := pipeline.Cancel(t.Context(), w.Options); err != nil || again.Run != "" {
				t.Errorf("canceled again: %+v, error %v", again, err)
			}
			if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
				t.Error(err)
			}
		})
	}
}

// Canceling does not create a feed that has never run, and leaves one that is held alone.
func TestCancelNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	if c, err := pipeline.Cancel(t.Context(), w.Options); err != nil || c.Run != "" || len(w.files(t, ".json")) > 0 {
		t.Errorf("%+v, error %v, files %v", c, err, w.files(t, ".json"))
	}
	lease, err := ledger.Acquire(t.Context(), w.dir, ledger.Options{Feed: "members", Source: "bison", Purpose: "backfill"})
	if err != nil {
		t.Fatal(err)
	}
	var held *ledger.HeldError
	if _, err := pipeline.Cancel(t.Context(), w.Options); !errors.As(err, &held) {
		t.Errorf("error %v while another has the lease", err)
	}
	if _, err := pipeline.SetWatermark(t.Context(), w.Options, nil, ""); !errors.As(err, &held) {
		t.Errorf("error %v while another has the lease", err)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A server that deletes exports slowly is asked about all of them. A mute one does not hold
// anybody up for long.
func TestCancelAtASlowServer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		each                 time.Duration
		asked, deleted, kept int
	}{
		"slow": {10 * time.Second, 3, 3, 0},
		"mute": {time.Hour, 1, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newPractice(t, "a: 1", "b: 2", "c: 3", "d: 3") // the members of each group are listed first
			allow := c.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Skip: 7, Times: bulktest.Always, Do: bulktest.Respond(400, nil, "")})
			if _, err := pipeline.Run(t.Context(), c.Options); err == nil {
				t.Fatal("the fourth group was exported")
			}
			client := c.Options.Server
			synctest.Test(t, func(t *testing.T) {
				server := &slowServer{each: test.each}
				c.Options.Server = server
				canceled, err := pipeline.Cancel(t.Context(), c.Options)
				if err != nil || server.asked != test.asked || canceled.Deleted != test.deleted || canceled.Kept != test.kept {
					t.Errorf("asked %d times: %+v, error %v", server.asked, canceled, err)
				}
				// What a mute server could not be told, it is told at the next run.
				if left := len(c.ledgers(t)); (left > 0) != (test.kept > 0) {
					t.Errorf("%d files are left of the ledger", left)
				}
			})
			c.Options.Server = client
			allow()
			c.run(t)
			c.wantTidy(t)
			if test.kept > 0 {
				accepted := func(r bulktest.Request) bool { return r.Status == http.StatusAccepted }
				c.wantDeleted(t, len(c.requests(bulktest.KickOffEndpoint, accepted)))
			}
		})
	}
}

// slowServer takes its time to delete an export. It can do nothing else.
type slowServer struct {
	pipeline.Server
	each  time.Duration
	asked int
}

func (s *slowServer) Delete(ctx context.Context, _ bulk.Job) error {
	s.asked++
	select {
	case <-time.After(s.each):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A server that is down at the end of a run is told later what it need not keep.
func TestExportsAreDeletedLaterAtAServerThatIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	up := w.server.Inject(bulktest.Fault{On: bulktest.DeleteEndpoint, Times: bulktest.Always, Do: bulktest.Respond(503, nil, "")})
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	if len(w.ledgers(t)) == 0 {
		t.Error("nobody knows any more what the server keeps")
	}
	up()
	before := len(w.server.Requests())
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	if first := w.server.Requests()[before]; first.Method != http.MethodDelete || first.Status != http.StatusAccepted {
		t.Errorf("%s %s", first.Method, first.Path)
	}
	w.wantTidy(t)
}

// What throws a run away without knowing its server leaves the run's ledger to a run that knows
// it, which deletes the run's exports there. gc leaves the ledger, too.
func TestGivingUpWithoutAServer(t *testing.T) {
	t.Parallel()
	for name, giveUp := range map[string]func(t *testing.T, o pipeline.Options){
		"cancel": func(t *testing.T, o pipeline.Options) {
			canceled, err := pipeline.Cancel(t.Context(), o)
			if err != nil || canceled.Run == "" || canceled.Deleted != 0 || canceled.Kept != 1 {
				t.Errorf("%+v, error %v", canceled, err)
			}
		},
		"convert": func(t *testing.T, o pipeline.Options) {
			name := filepath.Join(t.TempDir(), "Patient.ndjson")
			if err := os.WriteFile(name, []byte(resource("Patient", 0)), 0o600); err != nil {
				t.Fatal(err)
			}
			files, err := pipeline.FindFiles(nil, name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pipeline.Convert(t.Context(), files, o); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: oneOfEach()})
			remove := w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.Respond(404, nil, "")})
			if _, err := pipeline.Run(t.Context(), w.Options); err == nil {
				t.Fatal("a run without its files went well")
			}
			remove()
			run := w.feed(t).Unfinished.Run
			server := w.Server
			w.Server = nil
			giveUp(t, w.Options)
			w.gc(t, noGrace)
			if feed := w.feed(t); feed.Unfinished != nil || !slices.Equal(feed.Ended, []string{run}) || len(w.ledgers(t)) == 0 {
				t.Errorf("unfinished: %v, ended: %q, ledger %q", feed.Unfinished, feed.Ended, w.ledgers(t))
			}
			w.wantDeleted(t, 0)
			w.Server = server
			if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
				t.Fatal(err)
			}
			w.wantDeleted(t, w.kickOffs()) // of both runs
			w.wantTidy(t)
		})
	}
}
