package pipeline_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
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
