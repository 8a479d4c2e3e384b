package columnar_test

import (
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// row is what parquet-go reads of a row: the values by column path without "list" and "element".
// Nulls are left out.
type row map[string][]parquet.Value

// rows reads a part's rows.
func rows(t failer, p finishedPart) []row {
	t.Helper()
	f := open(t, p)
	paths := map[int]string{}
	walkLeaves(f.Root(), func(c *parquet.Column) {
		paths[c.Index()] = strings.ReplaceAll(strings.Join(c.Path(), "."), ".list.element", "")
	})
	var all []row
	for _, g := range f.RowGroups() {
		r := g.Rows()
		buffer := make([]parquet.Row, 1)
		for {
			n, err := r.ReadRows(buffer)
			if n > 0 {
				one := row{}
				for _, v := range buffer[0] {
					if !v.IsNull() {
						one[paths[v.Column()]] = append(one[paths[v.Column()]], v.Clone())
					}
				}
				all = append(all, one)
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("reading row %d of the part of %s: %v", len(all), p.ResourceType, err)
			}
		}
		r.Close()
	}
	return all
}

// text returns a column's values in the row, separated by bars.
func (r row) text(path string) string {
	var texts []string
	for _, v := range r[path] {
		texts = append(texts, valueText(path, v))
	}
	return strings.Join(texts, "|")
}

func valueText(path string, v parquet.Value) string {
	switch v.Kind() {
	case parquet.FixedLenByteArray:
		return decimalText(v.ByteArray())
	case parquet.Int64:
		if strings.HasSuffix(path, "_start") {
			return time.UnixMicro(v.Int64()).UTC().Format(time.RFC3339Nano)
		}
		return strconv.FormatInt(v.Int64(), 10)
	case parquet.ByteArray:
		return string(v.ByteArray())
	}
	return v.String()
}

// decimalText prints a DECIMAL(38, 9) with all its places.
func decimalText(b []byte) string {
	return new(big.Rat).SetFrac(signed(b), big.NewInt(1_000_000_000)).FloatString(9)
}
