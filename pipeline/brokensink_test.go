package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/sink"
)

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

// A store that fails at any step fails the run, unless it is published by then. The next run
// goes on from there; it starts another export only if the first one could not be recorded.
func TestABrokenSink(t *testing.T) {
	t.Parallel()
	// How often a run takes each step; for writes and puts, only the first times are tried.
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

				w.Sink = w.dir // which works again
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
