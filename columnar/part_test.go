package columnar_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"fhirkiln/columnar"
)

// finishedPart is a part in memory.
type finishedPart struct {
	columnar.PartStats
	parquet []byte
}

// failer is a *testing.T, or package rapid's.
type failer interface {
	Context() context.Context
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

var _ failer = (*testing.T)(nil)

// memory collects the parts of one Writer.
type memory map[string]*bytes.Buffer

func (m memory) create(_ context.Context, resourceType string) (io.Writer, error) {
	m[resourceType] = new(bytes.Buffer)
	return m[resourceType], nil
}

// finish closes a Writer of m and checks its statistics against what it wrote.
func (m memory) finish(t failer, w *columnar.Writer) []finishedPart {
	t.Helper()
	stats, err := w.Close()
	if err != nil {
		t.Fatalf("closing: %v", err)
	}
	if len(stats) != len(m) {
		t.Errorf("statistics of %d parts, not %d", len(stats), len(m))
	}
	var parts []finishedPart
	for i, s := range stats {
		if i > 0 && stats[i-1].ResourceType >= s.ResourceType {
			t.Errorf("%s comes before %s", stats[i-1].ResourceType, s.ResourceType)
		}
		if m[s.ResourceType] == nil {
			t.Fatalf("there is no part of %s", s.ResourceType)
		}
		p := finishedPart{s, m[s.ResourceType].Bytes()}
		if s.Bytes != int64(len(p.parquet)) {
			t.Errorf("the part of %s has %d bytes, not %d", s.ResourceType, len(p.parquet), s.Bytes)
		}
		if n := open(t, p).NumRows(); n != s.Rows {
			t.Errorf("the part of %s has %d rows, not %d", s.ResourceType, n, s.Rows)
		}
		parts = append(parts, p)
	}
	return parts
}

// origin is the Origin of the tests' resources.
var origin = columnar.Origin{Source: "bison", Feed: "members", Run: "r1", File: "https://payer.example/1.ndjson", TransactionTime: "2026-01-02T03:04:05Z"}

// convert converts all of r into as many parts as it takes.
func convert(t failer, o columnar.Options, r io.Reader) ([]finishedPart, columnar.ReadStats) {
	t.Helper()
	var (
		lines = columnar.NewLines(r, 0)
		parts []finishedPart
		total columnar.ReadStats
	)
	for {
		m := memory{}
		o.Create = m.create
		w := columnar.NewWriter(o)
		read, err := w.Append(context.Background(), lines, &origin)
		if err != nil {
			t.Fatalf("appending: %v", err)
		}
		total.Resources += read.Resources
		total.Quarantined += read.Quarantined
		total.Headers += read.Headers
		total.Bytes += read.Bytes
		parts = append(parts, m.finish(t, w)...)
		if !w.Full() {
			return parts, total
		}
	}
}

// appendTo appends ndjson to a new Writer, up to the first error.
func appendTo(m memory, ndjson string) (*columnar.Writer, columnar.ReadStats, error) {
	w := columnar.NewWriter(columnar.Options{Create: m.create})
	read, err := w.Append(context.Background(), columnar.NewLines(strings.NewReader(ndjson), 0), nil)
	return w, read, err
}

func open(t failer, p finishedPart) *parquet.File {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(p.parquet), int64(len(p.parquet)))
	if err != nil {
		t.Fatalf("opening the part of %s: %v", p.ResourceType, err)
	}
	return f
}

// resources returns the resources of a part.
func resources(t failer, p finishedPart) []string {
	t.Helper()
	r, err := columnar.NewReader(bytes.NewReader(p.parquet), int64(len(p.parquet)))
	if err != nil {
		t.Fatalf("opening the part of %s: %v", p.ResourceType, err)
	}
	defer r.Close()
	if r.ResourceType() != p.ResourceType || r.NumRows() != p.Rows {
		t.Errorf("the reader says %d rows of %s, not %d of %s", r.NumRows(), r.ResourceType(), p.Rows, p.ResourceType)
	}
	var all []string
	for {
		line, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("reading resource %d of the part of %s: %v", len(all), p.ResourceType, err)
		}
		all = append(all, string(line))
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("behind the last resource: %v", err)
	}
	if int64(len(all)) != p.Rows {
		t.Errorf("the reader gave %d resources of %d", len(all), p.Rows)
	}
	return all
}

// byType joins the resources of parts, in the order in which the parts were made.
func byType(t failer, parts []finishedPart) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, p := range parts {
		all[p.ResourceType] = append(all[p.ResourceType], resources(t, p)...)
	}
	return all
}

// roundTrip converts resources of one type, and checks that the same resources come back in order.
// It returns the parts that they were in.
func roundTrip(t failer, o columnar.Options, lines ...string) []finishedPart {
	t.Helper()
	parts, read := convert(t, o, strings.NewReader(ndjson(lines...)))
	if read.Resources != int64(len(lines)) {
		t.Errorf("%d resources of %d became rows", read.Resources, len(lines))
	}
	all := byType(t, parts)
	if len(all) != 1 && len(lines) > 0 {
		t.Fatalf("there are resources of %d types", len(all))
	}
	for resourceType, got := range all {
		if len(got) != len(lines) {
			t.Fatalf("%d resources of %s came back, not %d", len(got), resourceType, len(lines))
		}
		for i := range lines {
			if d := difference(lines[i], got[i]); d != "" {
				t.Errorf("%s %d of %d is not the same, %s\nthe line: %.2000s", resourceType, i+1, len(lines), d, lines[i])
			}
		}
	}
	return parts
}

func ndjson(lines ...string) string { return strings.Join(lines, "\n") + "\n" }
