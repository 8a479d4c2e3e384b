package columnar_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"fhirkiln/columnar"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// coresToSpare is as many cores as any test makes use of.
const coresToSpare = 7

// However many lanes work on a file, and wherever it is cut into blocks, each line becomes one row
// or goes to quarantine once. The same holds if another process resumes where a part was full.
func TestLanesProperty(t *testing.T) {
	t.Parallel()
	several, full := 0, 0 // parts that several lanes have made; parts that lanes have filled
	rapid.Check(t, func(t *rapid.T) {
		var (
			input  bytes.Buffer
			max    = rapid.SampledFrom([]int{0, 3000}).Draw(t, "longest line")
			block  = rapid.SampledFrom([]int{1, 100, 3000}).Draw(t, "block")
			cores  = rapid.SampledFrom([]int{0, 1, coresToSpare}).Draw(t, "cores to spare")
			resume = rapid.Bool().Draw(t, "resume")
			o      = columnar.Options{
				TargetBytes:   rapid.SampledFrom([]int64{1, 20_000, 1 << 30}).Draw(t, "target"),
				RowGroupBytes: rapid.SampledFrom([]int64{1, 3000, 1 << 30}).Draw(t, "row group"),
				Each:          yielding(func(string, []byte, []byte) {}),
			}
		)
		drawNDJSON(t, &input, 60, 300)

		want, got := taken{}, taken{early: true}
		once := columnar.NewLines(bytes.NewReader(input.Bytes()), max)
		for want.part(t, o, once) {
		}
		o.Cores = columnar.NewCores(cores)
		lines := columnar.NewLines(bytes.NewReader(input.Bytes()), max)
		lines.SetBlock(block)
		for got.part(t, o, lines) {
			if cores > 0 {
				full++
			}
			if at := lines.Position(); resume {
				lines = columnar.NewLinesAt(iotest.HalfReader(bytes.NewReader(input.Bytes()[at.Bytes:])), max, at)
				lines.SetBlock(block)
			}
		}
		if o.RowGroupBytes == 1<<30 && got.rowGroups > 2 { // there are two types
			several++
		}
		if cores > 0 {
			slices.Sort(want.rows)
			slices.Sort(got.rows)
			slices.SortFunc(got.bad, func(a, b inQuarantine) int { return cmp.Compare(a.Offset, b.Offset) })
		}
		if diff := gocmp.Diff(want.rows, got.rows); diff != "" {
			t.Errorf("rows (-one lane +several):\n%s", diff)
		}
		if diff := gocmp.Diff(want.bad, got.bad); diff != "" {
			t.Errorf("quarantine (-one lane +several):\n%s", diff)
		}
		if at := lines.Position(); want.read != got.read || at.Bytes != int64(input.Len()) || at != once.Position() {
			t.Errorf("%+v and then %+v, not %+v and %+v", got.read, at, want.read, once.Position())
		}
	})
	if !testing.Short() && (several == 0 || full == 0) {
		t.Errorf("%d parts were of several lanes, %d became full: the test covers too little", several, full)
	}
}

// each returns an Options.Each with one function for all goroutines.
func each(f func(resourceType string, id, version []byte)) func() func(string, []byte, []byte) {
	return func() func(string, []byte, []byte) { return f }
}

// yielding returns an Options.Each that yields to other lanes at each row, and gives them time to
// start at a lane's first row. Otherwise it would be up to the scheduler whether several lanes make
// rows at all.
func yielding(f func(resourceType string, id, version []byte)) func() func(string, []byte, []byte) {
	return func() func(string, []byte, []byte) {
		begun := false
		return func(resourceType string, id, version []byte) {
			if begun {
				runtime.Gosched()
			} else {
				time.Sleep(time.Millisecond)
			}
			begun = true
			f(resourceType, id, version)
		}
	}
}

// lanesOf returns a Writer whose lanes start early, and lines for them to share.
func lanesOf(t failer, o columnar.Options, r io.Reader) (*columnar.Writer, *columnar.Lines) {
	t.Helper()
	o.Cores = columnar.NewCores(coresToSpare)
	own := func(string, []byte, []byte) {}
	if o.Each != nil {
		own = o.Each()
	}
	o.Each = yielding(own)
	lines := columnar.NewLines(r, 0)
	lines.SetBlock(1)
	return columnar.NewWriter(o), lines
}

// What Each returns belongs to one goroutine at a time, so the counters need not be atomic.
func TestLanesCallTheirOwn(t *testing.T) {
	t.Parallel()
	var all []*int64
	w := columnar.NewWriter(columnar.Options{Create: memory{}.create, Cores: columnar.NewCores(coresToSpare),
		Each: func() func(string, []byte, []byte) {
			n := new(int64)
			all = append(all, n)
			return func(string, []byte, []byte) {
				*n++
				runtime.Gosched()
			}
		}})
	lines := columnar.NewLines(strings.NewReader(strings.Repeat(`{"resourceType":"Patient"}`+"\n", 2000)), 0)
	lines.SetBlock(1)
	read, err := w.Append(t.Context(), lines, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, n := range all {
		sum += *n
	}
	if sum != 2000 || read.Resources != 2000 || len(all) < 2 {
		t.Errorf("%d functions were called %d times for %d rows", len(all), sum, read.Resources)
	}
}

// One lane reads a line that is too long to its end while others work. The caller's functions are
// called one at a time.
func TestLanesLongLines(t *testing.T) {
	t.Parallel()
	const max, count = 100, 200
	var (
		input strings.Builder
		busy  sync.Mutex
		bad   []string
		want  []string
	)
	for i := range count {
		long := fmt.Sprintf(`{"id":"%d%s"}`, i, strings.Repeat("x", i*7))
		fmt.Fprintf(&input, "{\"resourceType\":\"Patient\"}\n%s\n", long)
		want = append(want, fmt.Sprintf("%d %s", 2*i+2, long))
	}
	alone := func() func() {
		if !busy.TryLock() {
			t.Error("two calls at the same time")
			return func() {}
		}
		return busy.Unlock
	}
	for _, block := range []int{1, 50, 99, 500, columnar.ReadAhead} {
		bad = nil
		w := columnar.NewWriter(columnar.Options{Cores: columnar.NewCores(coresToSpare),
			Create: func(ctx context.Context, resourceType string) (io.Writer, error) {
				defer alone()()
				return io.Discard, nil
			},
			Quarantine: func(_ context.Context, q columnar.Quarantined) error {
				defer alone()()
				runtime.Gosched()
				line := string(q.Bytes)
				if q.Rest != nil {
					rest, err := io.ReadAll(q.Rest)
					if err != nil {
						return err
					}
					line += string(rest)
				}
				bad = append(bad, fmt.Sprintf("%d %s", q.Line, strings.TrimSpace(line)))
				return nil
			}})
		lines := columnar.NewLines(strings.NewReader(input.String()), max)
		lines.SetBlock(block)
		read, err := w.Append(t.Context(), lines, nil)
		if err != nil || read.Resources != count || read.Quarantined != count || read.Bytes != int64(input.Len()) {
			t.Errorf("blocks of %d: %+v, %v", block, read, err)
		}
		byNumber := func(a, b string) int { return cmp.Compare(number(a), number(b)) }
		if slices.SortFunc(bad, byNumber); !slices.Equal(bad, want) {
			t.Errorf("blocks of %d: quarantine has other lines", block)
		}
	}
}

func number(s string) (n int) {
	_, _ = fmt.Sscan(s, &n)
	return n
}

// Several files in turn continue the lanes' row groups, so that there is one row group for each
// lane and not one for each file.
func TestLanesGoOn(t *testing.T) {
	t.Parallel()
	m := memory{}
	w, _ := lanesOf(t, columnar.Options{Create: m.create}, nil)
	const files = 30
	for range files {
		lines := columnar.NewLines(strings.NewReader(ndjson(patients(50)...)), 0)
		lines.SetBlock(1)
		if _, err := w.Append(t.Context(), lines, &origin); err != nil {
			t.Fatal(err)
		}
	}
	part := m.finish(t, w)[0]
	if n := len(open(t, part).RowGroups()); part.Rows != 50*files || n < 2 || n > 1+coresToSpare {
		t.Errorf("%d rows in %d row groups", part.Rows, n)
	}
}

// Small files get no other lanes, nor do files that are converted while no core is idle.
func TestNoLanes(t *testing.T) {
	t.Parallel()
	want := roundTrip(t, columnar.Options{}, patients(500)...)[0]
	used := columnar.NewCores(2)
	defer used.Use()()
	defer used.Use()()
	for _, cores := range []*columnar.Cores{columnar.NewCores(0), columnar.NewCores(8), used} {
		got := roundTrip(t, columnar.Options{Cores: cores}, patients(500)...)[0]
		if !bytes.Equal(want.parquet, got.parquet) {
			t.Error("another part comes out where there are Cores")
		}
	}
}
