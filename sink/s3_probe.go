package sink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"strings"
	"time"
)

// Objects that every OpenS3 tries with. Their keys are few, so that what a killed process
// leaves there is found by another.
const (
	probeState = "_fhirkiln/probe.json" // stays, since a condition needs something to be there
	probePart  = "_fhirkiln/probe.part"
	probeParts = 64 // more of them, for processes that begin at the same time
)

// probeOf is the part that is tried with, the first time and after that.
func probeOf(try int) string {
	if try == 1 {
		return probePart
	}
	return fmt.Sprintf("_fhirkiln/probe-%d.part", mathrand.IntN(probeParts))
}

func isProbe(key string) bool {
	return key == probeState || key == probePart || strings.HasPrefix(key, "_fhirkiln/probe-")
}

// prove does what a run will do, in small.
func (s *S3) prove(ctx context.Context) error {
	if err := s.proveConditions(ctx); err != nil {
		return err
	}
	return s.proveParts(ctx)
}

// newProbe is what probeState holds: never the same twice.
func newProbe() []byte {
	const note = "fhirkiln tries here, before each run, that this store honours If-Match and If-None-Match. It may be removed."
	return fmt.Appendf(nil, "{\"note\": %q, \"nonce\": %q}\n", note, rand.Text())
}

// proveConditions writes an object and sees that the store refuses what it should. That
// other processes do the same at the same time does no harm: for them, too, it is there
// and not at a version that never was.
func (s *S3) proveConditions(ctx context.Context) error {
	_, v, err := s.Load(ctx, probeState)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := s.Swap(ctx, probeState, newProbe(), v); err != nil && !errors.Is(err, ErrChanged) {
		return err
	}
	for _, tt := range []struct {
		header string
		old    Version
	}{
		{"If-None-Match: *", ""},
		{"If-Match", `"00000000000000000000000000000000"`},
	} {
		_, err := s.Swap(ctx, probeState, newProbe(), tt.old)
		if err == nil {
			return s.failed(ctx, "trying conditional writes", probeState, noConditions(tt.header))
		}
		if !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return nil
}

// noConditions is a store that ignores the header of that name.
type noConditions string

func (e noConditions) Error() string {
	return "the store ignores " + string(e) + ": two runs could not be kept apart"
}

// proveParts publishes a part without bytes and removes it. Other processes that do so
// at the same time discard each other's; then it is done again. A store that is just
// aborting an upload may say of completing it that chunks are missing.
func (s *S3) proveParts(ctx context.Context) error {
	const tries = 20
	for try := 1; ; try++ {
		err := s.provePart(ctx, probeOf(try))
		disturbed := errors.Is(err, fs.ErrNotExist) || errors.Is(err, errAnotherFile) || isGone(err) || codeOf(err) == "InvalidPart"
		if err == nil || try == tries || !disturbed {
			return err
		}
		if err := sleep(ctx, time.Duration(mathrand.Int64N(int64(try*50*int(time.Millisecond))))); err != nil {
			return err
		}
	}
}

func (s *S3) provePart(ctx context.Context, key string) error {
	staging, err := s.Stage(ctx, key)
	if err != nil {
		return err
	}
	r, err := staging.Finish(ctx)
	if err == nil {
		err = s.Confirm(ctx, r)
	}
	if err == nil {
		err = s.Publish(ctx, r)
	}
	if err != nil {
		// What cannot be cleaned up now is found by the next OpenS3.
		_ = staging.Abort(ctx)
		_ = s.Abort(ctx, r)
		return err
	}
	return s.Discard(ctx, key)
}
