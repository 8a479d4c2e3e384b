package columnar

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"unsafe"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// filled returns a part's file before its footer. It has groups row groups of 20 rows each.
func filled(t *testing.T, resourceType string, groups int, o Options) (*Writer, *fileWriter, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	o.Create = func(context.Context, string) (io.Writer, error) { return &out, nil }
	w := NewWriter(o)
	for g := range groups {
		var lines strings.Builder
		for i := range 20 {
			fmt.Fprintf(&lines, `{"resourceType":%q,"id":"%d-%d","status":"active"}`+"\n", resourceType, g, i)
		}
		if _, err := w.Append(t.Context(), NewLines(strings.NewReader(lines.String()), 0), nil); err != nil {
			t.Fatal(err)
		}
	}
	return w, w.parts[resourceType], &out
}

// TestFooterIsParquets checks that the footer, which is written piece by piece, equals what package
// thrift makes of the whole.
func TestFooterIsParquets(t *testing.T) {
	t.Parallel()
	for _, groups := range []int{1, 14, 15, 200} { // a list of 15 has a longer header
		for _, o := range []Options{{}, {PageBytes: 60, BloomFilter: true, OmitFieldIDs: true}} {
			o.RowGroupBytes = 20 * 40
			w, _, out := filled(t, "Basic", groups, o)
			if _, err := w.Close(); err != nil {
				t.Fatal(err)
			}
			b := out.Bytes()
			size := binary.LittleEndian.Uint32(b[len(b)-8:])
			footer := b[len(b)-8-int(size) : len(b)-8]
			var all format.FileMetaData
			if err := thrift.Unmarshal(new(thrift.CompactProtocol), footer, &all); err != nil {
				t.Fatal(err)
			}
			if len(all.RowGroups) < groups || all.NumRows != int64(20*groups) {
				t.Errorf("%d row groups of %d, %d rows", len(all.RowGroups), groups, all.NumRows)
			}
			if again := marshal(&all); !bytes.Equal(again, footer) {
				t.Errorf("%d row groups: the footer of %d bytes is not thrift's of %d", groups, len(footer), len(again))
			}
		}
	}
}

// What is kept about a row group takes a fraction of the memory of Parquet's own structures,
// however many columns there are.
func TestFootersAreKeptSmall(t *testing.T) {
	t.Parallel()
	if kept, whole := unsafe.Sizeof(chunkMeta{}), unsafe.Sizeof(format.ColumnChunk{}); kept*10 > whole {
		t.Errorf("%d bytes are kept of a chunk, of Parquet's %d", kept, whole)
	}
	_, f, _ := filled(t, "ExplanationOfBenefit", 10, Options{RowGroupBytes: 20 * 40})
	if len(f.groups) < 10 {
		t.Fatalf("%d row groups", len(f.groups))
	}
	for _, g := range f.groups {
		details := 0
		for _, c := range g.chunks {
			if c.own != nil {
				details++
			}
		}
		if details == 0 || details > 10 {
			t.Errorf("%d of %d chunks have details, and 3 have values", details, len(g.chunks))
		}
	}
}
