package sink_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fhirkiln/sink"
)

// A request is retried if the store falls silent in the middle of a body.
func TestS3SilentBodies(t *testing.T) {
	t.Parallel()
	const parts = "_fhirkiln/runs/r/parts.json"
	for name, test := range map[string]struct {
		silent func(r *http.Request) bool
		do     func(t *testing.T, s *sink.S3) error
	}{
		"reading": {
			func(r *http.Request) bool {
				return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "parts.json")
			},
			func(t *testing.T, s *sink.S3) error {
				_, _, err := s.Load(t.Context(), parts)
				return err
			},
		},
		"writing": {
			func(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.Query().Has("partNumber") },
			func(t *testing.T, s *sink.S3) error {
				staging, err := s.Stage(t.Context(), "r4-core-1/Patient/a.parquet")
				if err != nil {
					return err
				}
				if _, err := staging.Write(make([]byte, 6<<20)); err != nil {
					return err
				}
				_, err = staging.Finish(t.Context())
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeS3(t)
			o := f.options()
			o.Silence = 300 * time.Millisecond
			o.Attempts = 10 // a busy machine loses some to its own silence
			s := openS3(t, o)
			if err := s.Put(t.Context(), parts, []byte(strings.Repeat("x", 1000))); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			defer close(stop)
			var silent atomic.Bool
			f.intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if !test.silent(r) || silent.Swap(true) {
					return false
				}
				if r.Method == http.MethodPut {
					_, _ = io.ReadFull(r.Body, make([]byte, 1000))
				} else {
					w.Header().Set("Content-Length", "1000")
					fmt.Fprint(w, strings.Repeat("x", 300))
					w.(http.Flusher).Flush()
				}
				select {
				case <-stop:
				case <-r.Context().Done():
				}
				return true
			})
			if err := test.do(t, s); err != nil {
				t.Error(err)
			}
		})
	}
}

// R2 allows one write per key and second, and answers the rest with 429.
func TestS3TooManyRequests(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	var mu sync.Mutex
	writes := map[string]int{}
	f.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodPut {
			return false
		}
		if writes[r.URL.Path]++; writes[r.URL.Path]%2 == 1 {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		fakeError(w, http.StatusTooManyRequests, "TooManyRequests", "Reduce your concurrent request rate for the same object.")
		return true
	})
	openS3(t, f.options())
}

// Processes that open a bucket at the same time do not fail each other's probes.
func TestS3OpenedByManyAtOnce(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	var group sync.WaitGroup
	for range 60 {
		group.Go(func() {
			o := f.options()
			o.Attempts = 8
			s, err := sink.OpenS3(t.Context(), o)
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	group.Wait()
}
