package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"

	"fhirkiln/sink"
)

// work is a small version of what a run does with a store: parts of two chunks, of one and of
// none, a file, and one that is swapped.
type work struct {
	attempt int // part of the keys, so that no two attempts share one
	parts   map[string][]byte
}

func newWork(attempt int) *work {
	w := &work{attempt: attempt, parts: map[string][]byte{}}
	random := rand.NewChaCha8([32]byte{byte(attempt)})
	for name, size := range map[string]int{"large": 6 << 20, "small": 1000, "empty": 0} {
		content := make([]byte, size)
		random.Read(content)
		w.parts[fmt.Sprintf("r4-core-1/Patient/kiln_run=r1/p1-%d-%s.parquet", attempt, name)] = content
	}
	return w
}

const workState = "_fhirkiln/feeds/members.json"

func (w *work) keys() []string { return slices.Sorted(maps.Keys(w.parts)) }

// do does all the work, and stops at the first error.
func (w *work) do(ctx context.Context, s *sink.S3) error {
	var receipts []sink.Receipt
	for _, key := range w.keys() {
		staging, err := s.Stage(ctx, key)
		if err != nil {
			return err
		}
		if _, err := staging.Write(w.parts[key]); err != nil {
			return errors.Join(err, staging.Abort(ctx))
		}
		r, err := staging.Finish(ctx)
		if err != nil {
			return errors.Join(err, staging.Abort(ctx))
		}
		receipts = append(receipts, r)
	}
	for _, r := range receipts {
		if err := s.Confirm(ctx, r); err != nil {
			return err
		}
	}
	for _, r := range receipts {
		if err := s.Publish(ctx, r); err != nil {
			return err
		}
	}
	if err := s.Put(ctx, fmt.Sprintf("_fhirkiln/runs/r1/report-%d.json", w.attempt), []byte("{}")); err != nil {
		return err
	}
	for step := range 3 {
		_, v, err := s.Load(ctx, workState)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		state := fmt.Sprintf("attempt %d, step %d", w.attempt, step)
		if _, err := s.Swap(ctx, workState, []byte(state), v); err != nil {
			return err
		}
	}
	return w.check(ctx, s)
}

// check checks that all of this attempt is published.
func (w *work) check(ctx context.Context, s *sink.S3) error {
	found := map[string]int64{}
	err := s.List(ctx, fmt.Sprintf("r4-core-1/Patient/kiln_run=r1/p1-%d-", w.attempt), func(key string, size int64) error {
		found[key] = size
		return nil
	})
	if err != nil {
		return err
	}
	for key, content := range w.parts {
		if size, ok := found[key]; !ok || size != int64(len(content)) {
			return fmt.Errorf("%s has %d bytes in the list, %v", key, size, ok)
		}
		if err := whole(ctx, s, key, content); err != nil {
			return err
		}
	}
	state, _, err := s.Load(ctx, workState)
	if err == nil && string(state) != fmt.Sprintf("attempt %d, step 2", w.attempt) {
		err = fmt.Errorf("the state is %q", state)
	}
	return err
}

func whole(ctx context.Context, s *sink.S3, key string, want []byte) error {
	f, err := s.Open(ctx, key)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%s reads as %d other bytes than were written", key, len(got))
	}
	return err
}
