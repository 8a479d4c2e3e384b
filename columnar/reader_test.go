package columnar_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"fhirkiln/columnar"
)

// When parquet-go's own writer writes the rows that it has read, the file has the same rows.
func TestOwnWriterAgrees(t *testing.T) {
	t.Parallel()
	for seed, name := range []string{"Patient", "Observation", "Questionnaire", "Task", "MolecularSequence", "Foo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGenerator(uint64(seed), 0.5)
			lines := []string{`{"resourceType":"` + name + `"}`}
			for range 4 {
				lines = append(lines, g.resource(name))
			}
			ours := open(t, roundTrip(t, options, lines...)[0])
			var b bytes.Buffer
			w := parquet.NewWriter(&b, ours.Schema())
			rows := readRows(t, ours)
			if _, err := w.WriteRows(rows); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			theirs, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
			if err != nil {
				t.Fatal(err)
			}
			again := readRows(t, theirs)
			if len(again) != len(rows) {
				t.Fatalf("%d rows, not %d", len(again), len(rows))
			}
			for i := range rows {
				if !rows[i].Equal(again[i]) {
					t.Errorf("row %d is another one", i)
				}
			}
			// Levels and nulls are counted the same way.
			for i, c := range theirs.Metadata().RowGroups[0].Columns {
				m := ours.Metadata().RowGroups[0].Columns[i].MetaData
				if c.MetaData.NumValues != m.NumValues || c.MetaData.Statistics.NullCount != m.Statistics.NullCount {
					t.Errorf("%v: %d values and %d nulls, not %d and %d", m.PathInSchema, m.NumValues, m.Statistics.NullCount, c.MetaData.NumValues, c.MetaData.Statistics.NullCount)
				}
			}
		})
	}
}

func readRows(t *testing.T, f *parquet.File) []parquet.Row {
	t.Helper()
	var all []parquet.Row
	for _, g := range f.RowGroups() {
		rows := g.Rows()
		buffer := make([]parquet.Row, 1)
		for {
			n, err := rows.ReadRows(buffer)
			for _, row := range buffer[:n] {
				all = append(all, row.Clone())
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		rows.Close()
	}
	return all
}

func TestReaderRefuses(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[struct{ ID string }](&b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	good := roundTrip(t, options, `{"resourceType":"Basic"}`)[0].parquet
	hash := columnar.LayoutOf("Basic").Hash()
	with := func(was, is string) []byte { // of the same length, so that the footer stays whole
		if len(was) != len(is) || bytes.Count(good, []byte(was)) != 1 {
			t.Fatalf("%q cannot be changed to %q", was, is)
		}
		return bytes.Replace(good, []byte(was), []byte(is), 1)
	}
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "opening the Parquet file"},
		{"no Parquet", []byte(strings.Repeat("x", 100)), "opening the Parquet file"},
		{"half a file", good[:len(good)/2], "opening the Parquet file"},
		{"somebody else's", b.Bytes(), "was not written by fhirkiln"},
		{"another layout", with(columnar.LayoutName, "r4-core/2"), "has layout r4-core/2"},
		{"other columns", with(hash, strings.Repeat("a", len(hash))), "are not those of r4-core/1 for Basic"},
		{"another type", with(columnar.KeyResourceType+"\x18\x05Basic", columnar.KeyResourceType+"\x18\x05Media"), "are not those of r4-core/1 for Media"},
	} {
		if _, err := columnar.NewReader(bytes.NewReader(tt.file), int64(len(tt.file))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: the error is %v", tt.name, err)
		}
	}
}
