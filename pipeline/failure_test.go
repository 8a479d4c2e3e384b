package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/transport"
)

// oneOfEach is data of which some good parts remain after any failure.
func oneOfEach() bulktest.Files {
	return bulktest.Files{
		bulktest.Lines("Patient", resources("Patient", 0, 20)...),
		bulktest.Lines("Observation", resources("Observation", 0, 20)...),
		bulktest.Lines("Encounter", resources("Encounter", 0, 20)...),
	}
}

func TestAFailedFileFailsTheRun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		data  bulktest.Files
		fault bulktest.Fault
		check func(error) bool
		heal  func(w *world) // besides removing the fault; the next run then succeeds
	}{
		"a line is not JSON": {
			data: append(oneOfEach(), bulktest.Lines("Coverage", resource("Coverage", 1), `{"resourceType":"Coverage","id":"2"`, resource("Coverage", 3))),
			check: func(err error) bool {
				var quality *pipeline.QualityError
				return errors.As(err, &quality) && quality.Quarantined == 1 && quality.Lines == 3 && strings.Contains(err.Error(), "line 2")
			},
			heal: func(w *world) { w.MaxQuarantined = 0.5 },
		},
		"a count is wrong": {
			data: append(oneOfEach(), bulktest.File{Type: "Coverage", Count: 5, Open: bulktest.Lines("Coverage", resource("Coverage", 1)).Open}),
			check: func(err error) bool {
				var count *pipeline.CountError
				return errors.As(err, &count) && count.Manifest == 5 && count.Found == 1
			},
		},
		"a file is gone": {
			data:  oneOfEach(),
			fault: bulktest.Fault{On: bulktest.FileEndpoint, Skip: 1, Times: bulktest.Always, Do: bulktest.Respond(http.StatusNotFound, nil, "")},
			check: isKind(transport.Broken),
			heal:  func(*world) {},
		},
		"a file is forbidden": {
			data:  oneOfEach(),
			fault: bulktest.Fault{On: bulktest.FileEndpoint, Skip: 1, Times: 1, Do: bulktest.Respond(http.StatusForbidden, nil, "")},
			check: isKind(transport.Denied),
			heal:  func(*world) {},
		},
		"a file is cut for good": {
			data:  oneOfEach(),
			fault: bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.CutBody(100)},
			check: isKind(transport.Broken),
			heal:  func(*world) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: test.data})
			remove := func() {}
			if test.fault.Do != nil {
				remove = w.server.Inject(test.fault)
			}
			if _, err := pipeline.Run(t.Context(), w.Options); err == nil || !test.check(err) {
				t.Fatalf("error %v", err)
			}
			w.wantUnseen(t)

			remove()
			if test.heal == nil { // resuming cannot help: another export is requested
				if _, err := pipeline.Run(t.Context(), w.Options); err == nil || !test.check(err) {
					t.Fatalf("error of the second run: %v", err)
				}
				w.wantUnseen(t)
				if got := w.kickOffs(); got != 2 {
					t.Errorf("the server saw %d kick-offs, want 2", got)
				}
				return
			}
			test.heal(w)
			report, err := pipeline.Run(t.Context(), w.Options)
			if _, partial := errors.AsType[*pipeline.PartialError](err); err != nil && !partial {
				t.Fatal(err)
			}
			if rows := w.published(t); len(rows["Patient"]) != 20 || len(rows["Observation"]) != 20 || len(rows["Encounter"]) != 20 {
				t.Errorf("published: %v", rows)
			}
			if got := w.kickOffs(); got != 1 || !report.Resumed {
				t.Errorf("the server saw %d kick-offs, want 1; resumed: %v", got, report.Resumed)
			}
			w.wantTidy(t)
		})
	}
}

// Counts that no export can have are wrong counts, and nothing worse.
func TestCountsBeyondMeasure(t *testing.T) {
	t.Parallel()
	for _, count := range []int64{5e15, 9e15, math.MaxInt64} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: bulktest.Files{
				bulktest.Lines("Patient", resources("Patient", 0, 3)...), bulktest.Lines("Patient", resources("Patient", 3, 6)...)}})
			w.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: bulktest.EditManifest(func(m map[string]any) {
				for _, f := range m["output"].([]any) {
					f.(map[string]any)["count"] = json.Number(fmt.Sprint(count))
				}
			})})
			_, err := pipeline.Run(t.Context(), w.Options)
			if wrong, ok := errors.AsType[*pipeline.CountError](err); !ok || wrong.Manifest != count {
				t.Errorf("error %v", err)
			}
			w.wantUnseen(t)
		})
	}
}

func isKind(want transport.Kind) func(error) bool {
	return func(err error) bool {
		var e *transport.Error
		return errors.As(err, &e) && e.Kind == want
	}
}

// Canceling by the user throws everything away. After any other end, the run is resumed.
func TestCancel(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cause    error
		kickOffs int // of both runs
	}{
		"given up": {fmt.Errorf("interrupted: %w", pipeline.ErrGiveUp), 2},
		"stopped":  {errors.New("the node is drained"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: oneOfEach()})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Skip: 2, Times: 1,
				Do: func(http.ResponseWriter, *http.Request, http.Handler) { cancel(test.cause) }})
			if _, err := pipeline.Run(ctx, w.Options); !errors.Is(err, test.cause) {
				t.Fatalf("error %v, want the cause of the cancel", err)
			}
			w.wantUnseen(t)
			if test.kickOffs == 2 {
				w.wantTidy(t)
				w.wantDeleted(t, 1)
			}
			if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
				t.Fatal(err)
			}
			if got := w.kickOffs(); got != test.kickOffs {
				t.Errorf("the server saw %d kick-offs, want %d", got, test.kickOffs)
			}
			if rows := w.published(t); len(rows["Patient"])+len(rows["Observation"])+len(rows["Encounter"]) != 60 {
				t.Errorf("published: %v", rows)
			}
			w.wantTidy(t)
			w.wantDeleted(t, test.kickOffs)
		})
	}
}

// A run that is told to end while the server is still deciding about the kick-off learns of the
// export that results.
func TestEndingAmidAKickOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cause             error
		deletes, kickOffs int // deletes of the first run, kick-offs of both
	}{
		"given up": {fmt.Errorf("interrupted: %w", pipeline.ErrGiveUp), 1, 2},
		"stopped":  {errors.New("the node is drained"), 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: oneOfEach()})
			ctx, cancel := context.WithCancelCause(t.Context())
			w.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Do: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
				cancel(test.cause)
				time.Sleep(50 * time.Millisecond)
				next.ServeHTTP(rw, r.WithContext(context.WithoutCancel(r.Context()))) // once begun, it goes on
			}})
			if _, err := pipeline.Run(ctx, w.Options); !errors.Is(err, test.cause) {
				t.Fatalf("error %v", err)
			}
			w.wantDeleted(t, test.deletes)
			report, err := pipeline.Run(t.Context(), w.Options)
			if err != nil || report.Resumed != (test.kickOffs == 1) || w.kickOffs() != test.kickOffs {
				t.Errorf("the next run: %v; resumed %v, after %d kick-offs", err, report.Resumed, w.kickOffs())
			}
			w.wantDeleted(t, test.kickOffs)
		})
	}
}

func TestAForbiddenDeleteIsNoFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	w.server.Inject(bulktest.Fault{On: bulktest.DeleteEndpoint, Times: bulktest.Always, Do: bulktest.Respond(http.StatusForbidden, nil, "")})
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
}

func TestACutFileIsMended(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: 3, Do: bulktest.CutBody(500)})
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	if rows := w.published(t); len(rows["Patient"])+len(rows["Observation"])+len(rows["Encounter"]) != 60 {
		t.Errorf("rows %v", rows)
	}
	attempts := 0
	for _, f := range report.Files {
		attempts += f.Attempts
	}
	if attempts != 6 {
		t.Errorf("3 files cut once each took %d attempts, want 6", attempts)
	}
}

// An export is deleted only if the server itself says that it failed: a 404 may be a gateway's,
// and the export may be complete in a minute.
func TestOnlyAFailedExportIsDeleted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault          bulktest.Behavior
		times, deletes int
	}{
		"an outcome":  {bulktest.Outcome(500, "processing", "the job failed"), 1, 1},
		"410":         {bulktest.Respond(http.StatusGone, nil, ""), 1, 1},
		"a stray 404": {bulktest.Respond(http.StatusNotFound, nil, ""), 4, 0},
		"other JSON":  {bulktest.Respond(http.StatusOK, nil, `{"status":"UP"}`), 4, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: oneOfEach()})
			w.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: tt.times, Do: tt.fault})
			if _, err := pipeline.Run(t.Context(), w.Options); err == nil {
				t.Fatal("no error")
			}
			w.wantDeleted(t, tt.deletes)
			if _, err := pipeline.Run(t.Context(), w.Options); err != nil || w.kickOffs() != 2 {
				t.Errorf("the next run: %v after %d kick-offs, want 2", err, w.kickOffs())
			}
		})
	}
}
