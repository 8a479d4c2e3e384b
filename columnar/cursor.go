package columnar

import (
	"fmt"

	"github.com/parquet-go/parquet-go"
)

// rowCursor takes a row apart, field by field in the layout's order: it is what is left of
// the row, by column. In each slot of a struct every column below it has an entry, a null for
// what is not there.
type rowCursor struct {
	columns [][]parquet.Value
}

// load begins with another row.
func (c *rowCursor) load(l *Layout, row parquet.Row) error {
	if c.columns == nil {
		c.columns = make([][]parquet.Value, len(l.columns))
	}
	clear(c.columns)
	for start := 0; start < len(row); {
		end := start + 1
		for end < len(row) && row[end].Column() == row[start].Column() {
			end++
		}
		c.columns[row[start].Column()] = row[start:end]
		start = end
	}
	for i, values := range c.columns {
		if len(values) == 0 {
			return fmt.Errorf("the row has no entry for the column %s", l.columns[i].Path())
		}
	}
	return nil
}

// first is the first column at or below f. Whether f is there, and repeats, all columns below
// it say alike.
func (f *Field) first() int {
	for f.column < 0 {
		f = f.Fields[0]
	}
	return f.column
}

// entry is the next entry of f's first column.
func (c *rowCursor) entry(f *Field) parquet.Value { return c.columns[f.first()][0] }

// level is the definition level of f's slot: at least f.def for a value, or an element with
// one; see emptyLevel for lists.
func (c *rowCursor) level(f *Field) int { return c.entry(f).DefinitionLevel() }

// another says whether a list has an element after the one that was read last.
func (c *rowCursor) another(f *Field) bool {
	left := c.columns[f.first()]
	return len(left) > 0 && left[0].RepetitionLevel() == int(f.rep)
}

// skip passes over one entry of f in all columns below it.
func (c *rowCursor) skip(f *Field) {
	if f.column >= 0 {
		c.columns[f.column] = c.columns[f.column][1:]
	}
	for _, child := range f.Fields {
		c.skip(child)
	}
}
