package pipeline_test

import (
	"context"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

// What is required is asked for before anything is done.
func TestOptionsThatAreMissing(t *testing.T) {
	t.Parallel()
	run := pipeline.Run
	convert := func(ctx context.Context, o pipeline.Options) (*lake.Report, error) {
		return pipeline.Convert(ctx, nil, o)
	}
	for name, tt := range map[string]struct {
		do     func(context.Context, pipeline.Options) (*lake.Report, error)
		change func(o *pipeline.Options)
	}{
		"no server": {run, func(o *pipeline.Options) { o.Server = nil }},
		"no client": {run, func(o *pipeline.Options) { o.Server = pipeline.Client(nil) }},
		"no sink":   {run, func(o *pipeline.Options) { o.Sink = nil }},
		"no files":  {convert, func(*pipeline.Options) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{})
			tt.change(&w.Options)
			report, err := tt.do(t.Context(), w.Options)
			if err == nil || report.Status != lake.StatusFailed {
				t.Errorf("error %v, report %+v", err, report)
			}
			if names := w.files(t, ""); len(names) > 0 {
				t.Errorf("it has written %q", names)
			}
		})
	}
}

// Workers below one are the default.
func TestNegativeWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	w.Workers = -1
	if report, err := pipeline.Run(t.Context(), w.Options); err != nil || report.Resources == 0 {
		t.Errorf("error %v, report %+v", err, report)
	}
}

// A panic in what the caller has passed does not leave the lease renewed for ever.
func TestPanicReleasesTheLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	w.Turn = func(context.Context, bool) (func(), error) { panic("no turn") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it did not panic")
			}
		}()
		_, _ = pipeline.Run(t.Context(), w.Options)
	}()
	if lease := w.feed(t).Lease; lease != nil {
		t.Errorf("the lease is held by %s", lease.Holder)
	}
	w.Turn = nil
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Error(err)
	}
}

func TestFindFilesWithoutStdin(t *testing.T) {
	t.Parallel()
	if _, err := pipeline.FindFiles(nil, "-"); err == nil {
		t.Error("it found stdin")
	}
}
