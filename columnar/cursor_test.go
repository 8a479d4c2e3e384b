package columnar

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// mixedGroup is a row group with some columns of another one.
type mixedGroup struct {
	parquet.RowGroup
	chunks []parquet.ColumnChunk
}

func (g mixedGroup) ColumnChunks() []parquet.ColumnChunk { return g.chunks }

// Columns that disagree on how many elements a row has are an error; they are never read as nulls.
// Otherwise one wrong byte in a page's header, which no checksum covers, could lose a value.
func TestColumnsThatDoNotFit(t *testing.T) {
	t.Parallel()
	read := func(lines ...string) *Reader {
		var part bytes.Buffer
		w := NewWriter(Options{Create: func(context.Context, string) (io.Writer, error) { return &part, nil }})
		if _, err := w.Append(t.Context(), NewLines(strings.NewReader(strings.Join(lines, "\n")), 0), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(bytes.NewReader(part.Bytes()), int64(part.Len()))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	one := `{"resourceType":"Patient","name":[{"family":"x","use":"old"}]}`
	two := `{"resourceType":"Patient","name":[{"family":"x","use":"old"},{"family":"y","use":"old"}]}`
	none := `{"resourceType":"Patient","id":"1"}`
	for _, tt := range []struct {
		name        string
		rows, other []string // whose name.family it has
		ok          bool
	}{
		{"it fits", []string{one, two}, []string{one, two}, true},
		{"fewer in the last row", []string{one, two}, []string{one, one}, false},
		{"fewer in the first row", []string{two, one}, []string{one, one}, false},
		{"more in the last row", []string{one, one}, []string{one, two}, false},
		{"more in the first row", []string{one, one}, []string{two, one}, false},
		{"a row fewer", []string{one, one}, []string{one}, false},
		{"a row more", []string{one}, []string{one, one}, false},
		{"fewer where there are none", []string{two, two}, []string{two, none}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := read(tt.rows...)
			group, chunks := r.file.RowGroups()[0], slices.Clone(r.file.RowGroups()[0].ColumnChunks())
			for i, f := range r.layout.columns {
				if f.Path() == "name.family" {
					chunks[i] = read(tt.other...).file.RowGroups()[0].ColumnChunks()[i]
				}
			}
			r.cursor.open(r.layout, mixedGroup{group, chunks})
			r.group, r.inside, r.left = 1, true, group.NumRows()
			var err error
			for err == nil {
				_, err = r.Next()
			}
			if (err == io.EOF) != tt.ok {
				t.Errorf("got %v", err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if _, err := r.Next(); err != io.EOF {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}
