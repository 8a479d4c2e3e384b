package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// oneOfEach is data that any failure leaves some good parts of.
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
		heal  func(w *world) // beside that the fault is over; the next run then succeeds
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
			if test.heal == nil { // going on cannot help: another export is asked for
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

// Counts of a manifest that no export has are wrong counts, and nothing worse.
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

// A user's cancel throws everything away; after any other end the run is resumed.
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

// A run that is told to end while the server makes up its mind about the kick-off knows the
// export that comes of it.
func TestEndingAmidAKickOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cause             error
		deletes, kickOffs int // of the first run, of both
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
				next.ServeHTTP(rw, r.WithContext(context.WithoutCancel(r.Context()))) // begun is begun
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

// brokenSink fails at one step, from the nth time on.
type brokenSink struct {
	*sink.Dir
	step  string
	after int64
	calls atomic.Int64
}

var errBroken = errors.New("the disk is on fire")

func (b *brokenSink) fails(step string) bool { return step == b.step && b.calls.Add(1) > b.after }

func (b *brokenSink) Stage(ctx context.Context, key string) (sink.Staging, error) {
	if b.fails("stage") {
		return nil, errBroken
	}
	s, err := b.Dir.Stage(ctx, key)
	return brokenStaging{s, b}, err
}

func (b *brokenSink) Publish(ctx context.Context, r sink.Receipt) error {
	if b.fails("publish") {
		return errBroken
	}
	return b.Dir.Publish(ctx, r)
}

func (b *brokenSink) Confirm(ctx context.Context, r sink.Receipt) error {
	if b.fails("confirm") {
		return errBroken
	}
	return b.Dir.Confirm(ctx, r)
}

func (b *brokenSink) Swap(ctx context.Context, key string, content []byte, old sink.Version) (sink.Version, error) {
	if b.fails("swap") {
		return "", errBroken
	}
	return b.Dir.Swap(ctx, key, content, old)
}

func (b *brokenSink) Put(ctx context.Context, key string, content []byte) error {
	if b.fails("put") {
		return errBroken
	}
	return b.Dir.Put(ctx, key, content)
}

func (b *brokenSink) Remove(ctx context.Context, keys ...string) error {
	if b.fails("remove") {
		return errBroken
	}
	return b.Dir.Remove(ctx, keys...)
}

type brokenStaging struct {
	sink.Staging
	b *brokenSink
}

func (s brokenStaging) Write(p []byte) (int, error) {
	if s.b.fails("write") {
		return 0, errBroken
	}
	return s.Staging.Write(p)
}

func (s brokenStaging) Finish(ctx context.Context) (sink.Receipt, error) {
	if s.b.fails("finish") {
		return sink.Receipt{}, errBroken
	}
	return s.Staging.Finish(ctx)
}

// A store that fails at any step fails the run, unless that is published by then. The next one
// goes on from there; another export is begun only if the first one could not be written down.
func TestABrokenSink(t *testing.T) {
	t.Parallel()
	// How often a run takes each step, of writes and puts the first times.
	for step, times := range map[string]int64{"stage": 3, "write": 5, "finish": 3, "confirm": 3, "publish": 3, "put": 5, "swap": 6} {
		for after := range times {
			t.Run(fmt.Sprint(step, " ", after), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, bulktest.Options{Data: oneOfEach()})
				broken := &brokenSink{Dir: w.dir, step: step, after: after}
				w.Sink = broken
				report, err := pipeline.Run(t.Context(), w.Options)
				if calls := broken.calls.Load(); calls <= after {
					t.Fatalf("nothing has failed in %d calls", calls)
				}
				if published := len(w.feed(t).Runs) > 0; (err == nil) != published {
					t.Errorf("error %v, published: %v", err, published)
				}
				if err != nil {
					if !errors.Is(err, errBroken) {
						t.Fatalf("error %v", err)
					}
					if report.Status != lake.StatusFailed || report.Error != err.Error() || len(report.Parts) > 0 || report.ParquetBytes != 0 {
						t.Errorf("the report says %s, %q, parts %v of %d bytes", report.Status, report.Error, report.Parts, report.ParquetBytes)
					}
					for _, r := range report.Types {
						if r.Parts != 0 || r.Rows != 0 || r.ParquetBytes != 0 {
							t.Errorf("the report has published rows: %+v", r)
						}
					}
				}

				w.Sink = w.dir // which heals
				next, nextErr := pipeline.Run(t.Context(), w.Options)
				if nextErr != nil {
					t.Fatalf("the run after: %v", nextErr)
				}
				if rows := w.published(t); len(rows["Patient"])+len(rows["Observation"])+len(rows["Encounter"]) != 60 {
					t.Errorf("published: %v", rows)
				}
				w.wantTidy(t)
				kickOffs := w.kickOffs()
				w.wantDeleted(t, kickOffs)
				if goesOn := err != nil && step != "put" && step != "swap"; kickOffs > 2 || goesOn && (kickOffs == 2 || !next.Resumed) {
					t.Errorf("the server saw %d kick-offs; resumed: %v", kickOffs, next.Resumed)
				}
			})
		}
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

// An export is deleted if the server itself says that it failed: a 404 may be a gateway's,
// and the export be complete in a minute.
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
