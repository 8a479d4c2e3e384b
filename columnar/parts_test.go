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

// failer is a test, also one of package rapid.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// memory takes the parts of one Writer.
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

// convert makes parts of all of r, as many as it takes.
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
		read, err := w.Append(context.Background(), lines)
		if err != nil {
			t.Fatalf("appending: %v", err)
		}
		total.Resources += read.Resources
		total.Bytes += read.Bytes
		parts = append(parts, m.finish(t, w)...)
		if !w.Full() {
			return parts, total
		}
	}
}

// appendTo makes one Writer without a target take ndjson, up to its first error.
func appendTo(m memory, ndjson string) (*columnar.Writer, columnar.ReadStats, error) {
	w := columnar.NewWriter(columnar.Options{Create: m.create})
	read, err := w.Append(context.Background(), columnar.NewLines(strings.NewReader(ndjson), 0))
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

// rows reads a part's rows as T has them.
func rows[T any](t failer, p finishedPart) []T {
	t.Helper()
	rows, err := parquet.Read[T](bytes.NewReader(p.parquet), int64(len(p.parquet)))
	if err != nil {
		t.Fatalf("reading the part of %s: %v", p.ResourceType, err)
	}
	return rows
}

// resources reads back the lines that a part was made of.
func resources(t failer, p finishedPart) []string {
	t.Helper()
	var lines []string
	for _, row := range rows[struct {
		Resource string `parquet:"resource"`
	}](t, p) {
		lines = append(lines, row.Resource)
	}
	return lines
}

// byType joins the resources of parts in the order in which they were made.
func byType(t failer, parts []finishedPart) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, p := range parts {
		all[p.ResourceType] = append(all[p.ResourceType], resources(t, p)...)
	}
	return all
}

func ndjson(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

var _ failer = (*testing.T)(nil)
