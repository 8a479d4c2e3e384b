package columnar_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"fhirkiln/columnar"
)

// A failure in any lane comes back from Append, and no lane goes on after Append has returned.
func TestLanesFail(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	const patient = `{"resourceType":"Patient","id":"1"}` + "\n"
	good := strings.Repeat(patient, 300)
	// Far more lines follow the failure than other lanes convert before the slowest one meets it.
	const behind = 200_000
	text := func(s string) func() io.Reader {
		return func() io.Reader {
			return io.MultiReader(strings.NewReader(s), io.LimitReader(repeated(patient), behind*int64(len(patient))))
		}
	}
	fails := func(context.Context, columnar.Quarantined) error { return broken }
	for _, tt := range []struct {
		name   string
		input  func() io.Reader
		option func(o *columnar.Options)
		want   error
		rows   int64 // at least
	}{
		{"the reader", func() io.Reader { return io.MultiReader(strings.NewReader(good), iotest.ErrReader(broken)) }, nil, broken, 300},
		{"a line", text(good + "[]\n"), nil, nil, 200},
		{"quarantine", text(good + "[]\n"), func(o *columnar.Options) { o.Quarantine = fails }, broken, 200},
		{"quarantine, as if that were the end", text(good + "[]\n"),
			func(o *columnar.Options) {
				o.Quarantine = func(context.Context, columnar.Quarantined) error { return io.EOF }
			}, io.EOF, 200},
		{"Create", text(good + `{"resourceType":"Claim"}` + "\n"), func(o *columnar.Options) {
			o.Create = func(_ context.Context, resourceType string) (io.Writer, error) {
				if resourceType == "Claim" {
					return nil, broken
				}
				return io.Discard, nil
			}
		}, broken, 200},
		{"the part", text(""), func(o *columnar.Options) {
			o.RowGroupBytes = 10
			o.Create = func(context.Context, string) (io.Writer, error) { return &filling{left: 1_000_000}, nil }
		}, errFull, 1},
	} {
		for range 20 {
			var calls atomic.Int64
			o := columnar.Options{Create: memory{}.create, Each: each(func(string, []byte, []byte) { calls.Add(1) })}
			if tt.option != nil {
				tt.option(&o)
			}
			w, lines := lanesOf(t, o, tt.input())
			read, err := w.Append(t.Context(), lines, &origin)
			after := calls.Load()
			if bad := new(columnar.DataError); tt.want == nil && (!errors.As(err, &bad) || bad.Line != 301) || !errors.Is(err, cmp.Or(tt.want, err)) {
				t.Errorf("%s: %v, not %v", tt.name, err, tt.want)
			}
			if stats, again := w.Close(); stats != nil || !errors.Is(again, err) {
				t.Errorf("%s: Close returns %+v, %v", tt.name, stats, again)
			}
			if read.Resources < tt.rows || read.Resources >= behind {
				t.Errorf("%s: %d rows", tt.name, read.Resources)
			}
			runtime.Gosched()
			if n := calls.Load(); n != after || n < read.Resources {
				t.Errorf("%s: there are rows after Append: %d, %d, %d", tt.name, read.Resources, after, n)
			}
		}
	}
}

// repeated returns a reader of text, over and over.
func repeated(text string) io.Reader {
	at := 0
	return readerFunc(func(p []byte) (int, error) {
		n := copy(p, text[at:])
		at = (at + n) % len(text)
		return n, nil
	})
}

func TestLanesAreCanceled(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped by a signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	var rows atomic.Int64
	w, lines := lanesOf(t, columnar.Options{Create: memory{}.create, Each: each(func(string, []byte, []byte) {
		if rows.Add(1) == 1000 {
			cancel(stopped)
		}
	})}, repeated(`{"resourceType":"Patient"}`+"\n"))
	read, err := w.Append(ctx, lines, nil)
	if !errors.Is(err, stopped) || read.Resources != rows.Load() {
		t.Errorf("%d rows of %d, %v", read.Resources, rows.Load(), err)
	}
}
