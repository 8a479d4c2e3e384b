package columnar_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

var errFull = errors.New("no space left")

// filling accepts some bytes, and then no more.
type filling struct{ left int }

func (f *filling) Write(p []byte) (int, error) {
	if len(p) > f.left {
		n := f.left
		f.left = 0
		return n, errFull
	}
	f.left -= len(p)
	return len(p), nil
}

// Wherever a part's writer fails, its error comes back.
func TestPartFails(t *testing.T) {
	t.Parallel()
	var lines []string
	random := rand.NewChaCha8([32]byte{})
	for range 60 {
		text := make([]byte, 2000)
		_, _ = random.Read(text) // so that compression does not shrink it
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","text":"%x"}`, text))
	}
	input := ndjson(lines...)
	o := columnar.Options{RowGroupBytes: 30_000}
	parts, _ := convert(t, o, strings.NewReader(input))
	whole := int(parts[0].Bytes)
	var inAppend, inClose int
	for room := 0; room < whole; room += whole/40 - 1 {
		out := &filling{left: room}
		o.Create = func(context.Context, string) (io.Writer, error) { return out, nil }
		w := columnar.NewWriter(o)
		_, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(input), 0), &origin)
		if err != nil {
			inAppend++
		} else {
			inClose++
			_, err = w.Close()
		}
		if !errors.Is(err, errFull) {
			t.Errorf("with room for %d of %d bytes the error is %v", room, whole, err)
			continue
		}
		if !strings.Contains(err.Error(), "part of Patient") {
			t.Errorf("the error %q does not say what it is about", err)
		}
	}
	if inAppend == 0 || inClose == 0 {
		t.Errorf("%d failures in Append, %d in Close: the test covers too little", inAppend, inClose)
	}
}

func TestCanceledBefore(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped by a signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	w := columnar.NewWriter(columnar.Options{Create: memory{}.create})
	read, err := w.Append(ctx, columnar.NewLines(strings.NewReader(ndjson(patients(1)...)), 0), nil)
	if !errors.Is(err, stopped) {
		t.Errorf("the error is %v, not the context's cause", err)
	}
	if read != (columnar.ReadStats{}) {
		t.Errorf("it took %+v", read)
	}
}

// readerFunc is a function as an io.Reader.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Append stops reading an endless file soon after its context is canceled.
func TestCanceledMidway(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped by a signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	line := []byte(`{"resourceType":"Patient"}` + "\n")
	reads := 0
	endless := readerFunc(func(p []byte) (int, error) {
		if reads++; reads == 3 {
			cancel(stopped)
		}
		if reads > 1000 {
			return 0, errors.New("it reads on")
		}
		return copy(p, line), nil
	})
	w := columnar.NewWriter(columnar.Options{Create: memory{}.create})
	if _, err := w.Append(ctx, columnar.NewLines(endless, 0), nil); !errors.Is(err, stopped) {
		t.Errorf("the error is %v, not the context's cause", err)
	}
}
