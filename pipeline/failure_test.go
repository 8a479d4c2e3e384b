package pipeline_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
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
	}{
		"a line is not JSON": {
			data: append(oneOfEach(), bulktest.Lines("Coverage", resource("Coverage", 1), `{"resourceType":"Coverage","id":"2"`, resource("Coverage", 3))),
			check: func(err error) bool {
				var quality *pipeline.QualityError
				return errors.As(err, &quality) && quality.Quarantined == 1 && quality.Lines == 3 && strings.Contains(err.Error(), "line 2")
			},
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
		},
		"a file is forbidden": {
			data:  oneOfEach(),
			fault: bulktest.Fault{On: bulktest.FileEndpoint, Skip: 1, Times: 1, Do: bulktest.Respond(http.StatusForbidden, nil, "")},
			check: isKind(transport.Denied),
		},
		"a file is cut for good": {
			data:  oneOfEach(),
			fault: bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.CutBody(100)},
			check: isKind(transport.Broken),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: test.data})
			if test.fault.Do != nil {
				w.server.Inject(test.fault)
			}
			_, err := pipeline.Run(t.Context(), w.Options)
			if err == nil || !test.check(err) {
				t.Fatalf("error %v", err)
			}
			w.wantNothing(t)
		})
	}
}

func isKind(want transport.Kind) func(error) bool {
	return func(err error) bool {
		var e *transport.Error
		return errors.As(err, &e) && e.Kind == want
	}
}

func TestCancelLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	stop := errors.New("the user has had enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Skip: 2, Times: 1,
		Do: func(http.ResponseWriter, *http.Request, http.Handler) { cancel(stop) }})
	if _, err := pipeline.Run(ctx, w.Options); !errors.Is(err, stop) {
		t.Fatalf("error %v, want the cause of the cancel", err)
	}
	w.wantNothing(t)
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

func (b *brokenSink) Put(ctx context.Context, key string, content []byte) error {
	if b.fails("put") {
		return errBroken
	}
	return b.Dir.Put(ctx, key, content)
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

func TestABrokenSinkLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"stage", "write", "finish", "publish", "put"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: oneOfEach()})
			w.Sink = &brokenSink{Dir: w.dir, step: step, after: map[string]int64{"stage": 1, "write": 1, "finish": 1, "publish": 1}[step]}
			report, err := pipeline.Run(t.Context(), w.Options)
			if !errors.Is(err, errBroken) {
				t.Fatalf("error %v", err)
			}
			w.wantNothing(t)
			if report.Status != pipeline.Failed || report.Error != err.Error() || len(report.Parts) > 0 || report.ParquetBytes != 0 {
				t.Errorf("the report says %s, %q, parts %v of %d bytes", report.Status, report.Error, report.Parts, report.ParquetBytes)
			}
			for _, r := range report.Types {
				if r.Parts != 0 || r.Rows != 0 || r.ParquetBytes != 0 {
					t.Errorf("the report has published rows: %+v", r)
				}
			}
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
