package pipeline_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// fail runs the feed while the server refuses exports.
func (w *world) fail(t *testing.T) {
	t.Helper()
	remove := w.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Times: bulktest.Always, Do: bulktest.Respond(http.StatusForbidden, nil, "")})
	defer remove()
	report, err := pipeline.Run(t.Context(), w.Options)
	if err == nil {
		t.Fatal("the run succeeded")
	}
	if f := w.feed(t).LastFailure; f == nil || f.Run != report.Run || f.Error != report.Error || f.Error != err.Error() || !f.At.Equal(report.Finished) {
		t.Fatalf("the feed says %+v of\n%v", f, err)
	}
}

func (w *world) wantFailures(t *testing.T, n int) {
	t.Helper()
	got := 0
	if f := w.feed(t).LastFailure; f != nil {
		got = f.Failures
	}
	if got != n {
		t.Errorf("%d failures in a row, want %d", got, n)
	}
}

func TestFailedRunsLeaveATrace(t *testing.T) {
	t.Parallel()
	lines := resources("Patient", 0, 5000)
	w := newWorld(t, bulktest.Options{Data: section(func() []bulktest.File { return []bulktest.File{bulktest.Lines("Patient", lines...)} })})
	for n := range 3 {
		w.fail(t)
		w.wantFailures(t, n+1)
	}
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	w.wantFailures(t, 0)

	w.fail(t)
	w.wantLive(t, 1)
	if _, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{}); err != nil {
		t.Fatal(err)
	}
	w.wantFailures(t, 1)
	if report, err := pipeline.Run(t.Context(), w.Options); err != nil || !report.Empty() { // nothing new
		t.Fatalf("%d parts, error %v", len(report.Parts), err)
	}
	w.wantFailures(t, 0)

	w.fail(t)
	lines, w.Full = append([]string{`{"id":"no type"}`}, lines...), true
	var partial *pipeline.PartialError
	if _, err := pipeline.Run(t.Context(), w.Options); !errors.As(err, &partial) {
		t.Fatalf("error %v", err)
	}
	w.wantFailures(t, 0)
}

// Neither a signal nor another process makes a run count as failed, nor do they end a row of
// failures.
func TestStoppedRunsAreNoFailures(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{"given up": pipeline.ErrGiveUp, "stopped": errors.New("SIGTERM")} {
		w := newWorld(t, bulktest.Options{Data: oneOfEach()})
		w.fail(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		w.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: 1, Do: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			cancel(cause)
			next.ServeHTTP(rw, r)
		}})
		if _, err := pipeline.Run(ctx, w.Options); !errors.Is(err, cause) {
			t.Errorf("%s: error %v", name, err)
		}
		w.wantFailures(t, 1)
	}

	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	lease, err := ledger.Acquire(t.Context(), w.dir, ledger.Options{Feed: w.Feed.Name, Source: w.Feed.Source, Purpose: w.Feed.Purpose})
	if err != nil {
		t.Fatal(err)
	}
	_, err = pipeline.Run(t.Context(), w.Options)
	if _, held := errors.AsType[*ledger.HeldError](err); !held {
		t.Errorf("error %v", err)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Error(err)
	}
	w.wantFailures(t, 0)
}

// A feed says which run was the last to succeed, even if the run brought nothing and moved no
// watermark. Failed runs and compactions leave that alone.
func TestRunsThatSucceedLeaveATrace(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
	want := func(report *lake.Report) {
		t.Helper()
		if diff := cmp.Diff(&ledger.Success{At: report.Finished, Run: report.Run}, c.feed(t).LastSuccess); diff != "" {
			t.Errorf("the last success (-want +got):\n%s", diff)
		}
	}
	c.fail(t)
	if got := c.feed(t).LastSuccess; got != nil {
		t.Errorf("without any: %+v", got)
	}
	want(c.run(t))

	same := c.now().Format(time.RFC3339)
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: bulktest.EditManifest(func(m map[string]any) { m["transactionTime"] = same })})
	c.then(1, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z"))) // no change
	empty := c.run(t)
	if !empty.Empty() || empty.Held == "" || len(empty.Moved) > 0 {
		t.Fatalf("%d parts, %q, %v", len(empty.Parts), empty.Held, empty.Moved)
	}
	want(empty)

	c.then(1)
	c.fail(t)
	want(empty)
	c.then(0, bulktest.Lines("Patient", updated("Patient", "2", "2026-03-02T12:00:00Z")))
	partial := c.run(t)
	want(partial)
	if done, err := pipeline.Compact(t.Context(), c.Options, pipeline.CompactOptions{}); err != nil || len(done.Runs) != 1 {
		t.Fatalf("%+v, error %v", done, err)
	}
	want(partial)
}
