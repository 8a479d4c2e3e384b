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

// The objects that OpenS3 tests with. The keys are few, so that another process finds what a
// killed one left there.
const (
	probeState = "_fhirkiln/probe.json" // stays, since If-Match needs an object to compare with
	probePart  = "_fhirkiln/probe.part"
	probeParts = 64 // further parts, for processes that start at the same time
)

// probeOf returns the part to test with: probePart at the first try, then a random one of
// the further parts.
func probeOf(try int) string {
	if try == 1 {
		return probePart
	}
	return fmt.Sprintf("_fhirkiln/probe-%d.part", mathrand.IntN(probeParts))
}

func isProbe(key string) bool {
	return key == probeState || key == probePart || strings.HasPrefix(key, "_fhirkiln/probe-")
}

// prove does what a run will do, on a small scale.
func (s *S3) prove(ctx context.Context) error {
	if err := s.proveConditions(ctx); err != nil {
		return err
	}
	return s.proveParts(ctx)
}

// newProbe returns content for probeState. It never returns the same content twice.
func newProbe() []byte {
	const note = "Before each run, fhirkiln tests here that the store honors If-Match and If-None-Match. This object can be removed."
	return fmt.Appendf(nil, "{\"note\": %q, \"nonce\": %q}\n", note, rand.Text())
}

// proveConditions writes an object and checks that the store refuses what it should. Other
// processes may do the same at the same time: whoever wrote last, the object exists and is
// not at the version tried, which never existed.
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
			return s.failed(ctx, "testing conditional writes", probeState, noConditions(tt.header))
		}
		if !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return nil
}

// noConditions is the error of a store that ignores the named header.
type noConditions string

func (e noConditions) Error() string {
	return "the store ignores " + string(e) + ", so concurrent runs could not be kept apart"
}

// proveParts publishes an empty part and removes it. Processes that do so at the same time
// discard each other's parts; then it tries again. Completing an upload that the store is
// just aborting may fail with missing chunks (InvalidPart).
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
		// What cannot be cleaned up now is cleaned up by the next OpenS3.
		_ = staging.Abort(ctx)
		_ = s.Abort(ctx, r)
		return err
	}
	return s.Discard(ctx, key)
}
