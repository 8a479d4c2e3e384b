package columnar_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

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

// A ctx that ends while a Read blocks is noticed when the Read returns, also at the end of the file:
// Append and Copy never take an ended ctx for success.
func TestCanceledWithinRead(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped by a deadline")
	parts, _ := convert(t, columnar.Options{}, strings.NewReader(resourceLine))
	for _, tt := range []struct {
		name string
		o    columnar.Options
		last string
		err  error
	}{
		{"nothing", columnar.Options{}, "", io.EOF},
		{"a line", columnar.Options{}, resourceLine, io.EOF},
		{"a line that makes it full", columnar.Options{TargetBytes: 1, RowGroupBytes: 1}, resourceLine, io.EOF},
		{"a line, not the end", columnar.Options{}, resourceLine + "\n", nil},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		done := false
		r := readerFunc(func(p []byte) (int, error) {
			if done {
				return 0, errors.New("it reads on")
			}
			done = true
			cancel(stopped)
			return copy(p, tt.last), tt.err
		})
		o := tt.o
		o.Create = memory{}.create
		if _, err := columnar.NewWriter(o).Append(ctx, columnar.NewLines(r, 0), nil); !errors.Is(err, stopped) {
			t.Errorf("%s: the error is %v, not the context's cause", tt.name, err)
		}
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := columnar.NewReader(bytes.NewReader(parts[0].parquet), parts[0].Bytes)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o := columnar.Options{Create: func(context.Context, string) (io.Writer, error) {
		cancel(stopped)
		return io.Discard, nil
	}}
	if _, err := columnar.NewWriter(o).Copy(ctx, r); !errors.Is(err, stopped) {
		t.Errorf("Copy's error is %v, not the context's cause", err)
	}
}

// A line without an end, which is too long, does not keep Append from noticing ctx.
func TestCanceledWithinLongLine(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped by a signal")
	for _, tt := range []struct {
		name string
		take func(context.Context, columnar.Quarantined) error
	}{
		{"Quarantine reads it", func(_ context.Context, q columnar.Quarantined) error {
			_, err := io.Copy(io.Discard, q.Rest)
			return err
		}},
		{"Quarantine leaves it", func(context.Context, columnar.Quarantined) error { return nil }},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		reads := 0
		endless := readerFunc(func(p []byte) (int, error) {
			if reads++; reads == 5 {
				cancel(stopped)
			}
			if reads > 1000 {
				return 0, errors.New("it reads on")
			}
			clear(p)
			return len(p), nil
		})
		w := columnar.NewWriter(columnar.Options{Create: memory{}.create, Quarantine: tt.take})
		if _, err := w.Append(ctx, columnar.NewLines(endless, 10), nil); !errors.Is(err, stopped) {
			t.Errorf("%s: the error is %v, not the context's cause", tt.name, err)
		}
	}
}

// A Writer that has failed returns its error from then on, also from Close: a caller who looks at
// the last error only must not take unfinished parts for whole ones. Reset makes it as good as new.
func TestFailureSticks(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	good := ndjson(patients(3)...)
	parts, _ := convert(t, columnar.Options{}, strings.NewReader(good))
	fails := func(context.Context, columnar.Quarantined) error { return broken }
	refuses := func(context.Context, string) (io.Writer, error) { return nil, broken }
	noRoom := func(context.Context, string) (io.Writer, error) { return &filling{left: 10}, nil }

	fromReader := func(ctx context.Context, r io.Reader) func(w *columnar.Writer) error {
		return func(w *columnar.Writer) error {
			_, err := w.Append(ctx, columnar.NewLines(r, 0), &origin)
			return err
		}
	}
	from := func(ndjson string) func(w *columnar.Writer) error {
		return fromReader(t.Context(), strings.NewReader(ndjson))
	}
	fromPart := func(ctx context.Context) func(w *columnar.Writer) error {
		return func(w *columnar.Writer) error {
			r, err := columnar.NewReader(bytes.NewReader(parts[0].parquet), parts[0].Bytes)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = w.Copy(ctx, r)
			return err
		}
	}
	for _, tt := range []struct {
		name string
		o    columnar.Options
		do   func(w *columnar.Writer) error
		want error // nil for a DataError
	}{
		{"the reader", columnar.Options{}, fromReader(t.Context(), io.MultiReader(strings.NewReader(good), iotest.ErrReader(broken))), broken},
		{"a line", columnar.Options{}, from(good + "[]\n" + good), nil},
		{"quarantine", columnar.Options{Quarantine: fails}, from("[]\n"), broken},
		{"Create", columnar.Options{Create: refuses}, from(good), broken},
		{"the part", columnar.Options{Create: noRoom, RowGroupBytes: 10}, from(good), errFull},
		{"ctx", columnar.Options{}, fromReader(canceled, strings.NewReader(good)), broken},
		{"Create for a copy", columnar.Options{Create: refuses}, fromPart(t.Context()), broken},
		{"ctx of a copy", columnar.Options{}, fromPart(canceled), broken},
		{"the part at its end", columnar.Options{Create: noRoom}, func(w *columnar.Writer) error {
			if err := from(good)(w); err != nil {
				return err
			}
			_, err := w.Close()
			return err
		}, errFull},
	} {
		o := tt.o
		if o.Create == nil {
			o.Create = memory{}.create
		}
		check := func(when string, err error) {
			t.Helper()
			if tt.want == nil && !errors.As(err, new(*columnar.DataError)) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%s: %s: unexpected error %v", tt.name, when, err)
			}
		}
		w := columnar.NewWriter(o)
		check("at first", tt.do(w))
		check("another Append", from(good)(w))
		check("another Copy", fromPart(t.Context())(w))
		for range 2 {
			stats, err := w.Close()
			check("Close", err)
			if stats != nil {
				t.Errorf("%s: Close returns parts: %+v", tt.name, stats)
			}
		}
		m := memory{}
		w.Reset(columnar.Options{Create: m.create})
		if err := from(good)(w); err != nil {
			t.Errorf("%s: after Reset: %v", tt.name, err)
			continue
		}
		if again := m.finish(t, w); !bytes.Equal(again[0].parquet, parts[0].parquet) {
			t.Errorf("%s: after Reset the part differs", tt.name)
		}
	}
}
