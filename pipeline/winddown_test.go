package pipeline_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/sink"
)

// watchedStore tells a test when a staged file is finished or aborted, and when something is
// put. If the test has an error for a call, the call is not done. A nil func has none.
type watchedStore struct {
	pipeline.Sink
	finish, abort func(ctx context.Context, key string) error
	put           func(content string) error
}

func (s *watchedStore) Put(ctx context.Context, key string, content []byte) error {
	if s.put != nil {
		if err := s.put(string(content)); err != nil {
			return err
		}
	}
	return s.Sink.Put(ctx, key, content)
}

func (s *watchedStore) Stage(ctx context.Context, key string) (sink.Staging, error) {
	staging, err := s.Sink.Stage(ctx, key)
	if err != nil {
		return nil, err
	}
	return &watchedStaging{staging, s, key}, nil
}

type watchedStaging struct {
	sink.Staging
	store *watchedStore
	key   string
}

func (s *watchedStaging) Finish(ctx context.Context) (sink.Receipt, error) {
	if s.store.finish != nil {
		if err := s.store.finish(ctx, s.key); err != nil {
			return sink.Receipt{}, err
		}
	}
	return s.Staging.Finish(ctx)
}

func (s *watchedStaging) Abort(ctx context.Context) error {
	if s.store.abort != nil {
		if err := s.store.abort(ctx, s.key); err != nil {
			return err
		}
	}
	return s.Staging.Abort(ctx)
}

// wantBounded checks that what the end of ctx does not stop is stopped by time.
func wantBounded(t *testing.T, ctx context.Context, limit time.Duration, what string) {
	t.Helper()
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > limit || ctx.Err() != nil {
		t.Errorf("%s may take until %v, has ended: %v", what, end, ctx.Err())
	}
}

// A run that throws away what it has half staged is not held up forever by a silent store:
// whoever told it to end kills it if it does not.
func TestCleaningUpIsBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		types []string // whose parts are aborted
		run   func(t *testing.T, store *watchedStore) error
	}{
		"a run": {[]string{"Patient"}, func(t *testing.T, store *watchedStore) error {
			w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 3)...)}})
			store.Sink, w.Sink = w.dir, store
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			store.finish = func(context.Context, string) error { cancel(errBroken); return errBroken }
			_, err := pipeline.Run(ctx, w.Options)
			return err
		}},
		"a compaction": {[]string{"Basic", "Patient", "deleted"}, func(t *testing.T, store *watchedStore) error {
			w := nightly(t, 1) // with one part of tombstones, which is copied
			store.Sink, w.Sink = w.dir, store
			var all sync.WaitGroup
			all.Add(3)
			store.finish = func(context.Context, string) error { all.Done(); all.Wait(); return errBroken }
			_, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{})
			return err
		}},
		"retiring": {[]string{"deleted"}, func(t *testing.T, store *watchedStore) error {
			_, _, err := twoFulls(t, bulktest.Options{Data: patientsBut(40, 7)}, func(w *world) {
				store.Sink, w.Sink = w.dir, store
				store.finish = func(_ context.Context, key string) error {
					if strings.Contains(key, "/deleted/") {
						return errBroken
					}
					return nil
				}
			})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var aborted []string
			store := &watchedStore{abort: func(ctx context.Context, key string) error {
				mu.Lock()
				defer mu.Unlock()
				aborted = append(aborted, strings.Split(key, "/")[1])
				wantBounded(t, ctx, 30*time.Second, "to abort "+key)
				return nil
			}}
			if err := test.run(t, store); !errors.Is(err, errBroken) {
				t.Errorf("error %v", err)
			}
			slices.Sort(aborted)
			if !slices.Equal(aborted, test.types) {
				t.Errorf("aborted: %q, want %q", aborted, test.types)
			}
		})
	}
}

// A run reports its first failure, which stops its other goroutines, however long it takes to
// throw away what is half staged.
func TestTheFirstFailureIsTold(t *testing.T) {
	t.Parallel()
	first, second := errors.New("the first failure"), errors.New("a failure of cleaning up")
	for name, run := range map[string]func(t *testing.T, store *watchedStore) error{
		"a run": func(t *testing.T, store *watchedStore) error {
			w := newWorld(t, bulktest.Options{Data: oneOfEach()})
			store.Sink, w.Sink, w.Workers = w.dir, store, 3
			_, err := pipeline.Run(t.Context(), w.Options)
			return err
		},
		"a compaction": func(t *testing.T, store *watchedStore) error {
			w := nightly(t, 1)
			store.Sink, w.Sink, w.Workers = w.dir, store, 3
			_, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stopped := make(chan struct{})
			var all, others sync.WaitGroup
			all.Add(3)
			others.Add(2)
			go func() { others.Wait(); close(stopped) }()
			var mu sync.Mutex
			aborted := 0
			store := &watchedStore{
				finish: func(ctx context.Context, key string) error {
					all.Done()
					all.Wait() // none has ended before this
					if strings.Contains(key, "/Patient/") {
						return first
					}
					defer others.Done()
					<-ctx.Done()
					return context.Cause(ctx)
				},
				abort: func(_ context.Context, key string) error {
					mu.Lock()
					aborted++
					mu.Unlock()
					select {
					case <-stopped:
					case <-time.After(10 * time.Second):
						t.Error("it is thrown away before the others have ended")
					}
					if strings.Contains(key, "/Patient/") {
						return second
					}
					return nil
				}}
			err := run(t, store)
			if !errors.Is(err, first) || !strings.HasPrefix(err.Error(), first.Error()) || !errors.Is(err, second) || aborted != 3 {
				t.Errorf("after %d aborts: %v", aborted, err)
			}
		})
	}
}

// watchedServer tells a test of its deletes, and may fail kick-offs.
type watchedServer struct {
	pipeline.Server
	deletes func(context.Context)
	fails   error // beside the job
}

func (s *watchedServer) KickOff(ctx context.Context, r bulk.Request) (bulk.Job, error) {
	job, err := s.Server.KickOff(ctx, r)
	return job, errors.Join(err, s.fails)
}

func (s *watchedServer) Delete(ctx context.Context, job bulk.Job) error {
	s.deletes(ctx)
	return s.Server.Delete(ctx, job)
}

// Neither is it held up by a silent server that is told to delete an export.
func TestDeletingIsBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(w *world, s *watchedServer)
		deletes int
	}{
		"what is published": {func(*world, *watchedServer) {}, 1},
		"what has failed": {func(w *world, _ *watchedServer) {
			w.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: bulktest.Respond(http.StatusGone, nil, "")})
		}, 1},
		"what cannot be followed": {func(_ *world, s *watchedServer) { s.fails = errBroken }, 1},
		"what was not written down": {func(w *world, _ *watchedServer) {
			w.Sink = &watchedStore{Sink: w.dir, put: func(content string) error {
				if strings.Contains(content, `"started":{`) {
					return errBroken
				}
				return nil
			}}
		}, 1},
		"a list of members": {func(w *world, _ *watchedServer) {
			w.Feed.Request.Level, w.Feed.Groups = bulk.Group, []string{"g"}
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: append(oneOfEach(), bulktest.Lines("Group",
				`{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/Patient-1"}}]}`))})
			deletes := 0
			s := &watchedServer{Server: w.Server, deletes: func(ctx context.Context) {
				deletes++
				wantBounded(t, ctx, 15*time.Second, "to delete it")
			}}
			w.Server = s
			test.prepare(w, s)
			_, _ = pipeline.Run(t.Context(), w.Options)
			if deletes != test.deletes {
				t.Errorf("%d deletes, want %d", deletes, test.deletes)
			}
		})
	}
}
