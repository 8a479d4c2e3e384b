package columnar

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// rowCursor takes apart the rows of a row group, field by field in the layout's order. In each
// slot of a struct, every column below it has an entry, null for what is not there. Each entry
// must be skipped exactly once.
//
// Most columns of a row group have no value at all, and a null for every element of the lists
// around them. Such a column is read only where no other column shows whether a struct is there,
// or how many elements a list has.
type rowCursor struct {
	layout      *Layout
	columns     []chunkReader
	absent      []bool // by column: it has no value
	levelColumn []int  // by stream: the column that a struct's or list's levels are read from
	err         error  // the first error of reading; an entry that cannot be read is a null
}

// open starts on another row group.
func (c *rowCursor) open(l *Layout, group parquet.RowGroup) {
	if c.layout != l {
		c.layout, c.columns = l, make([]chunkReader, len(l.columns))
		c.absent, c.levelColumn = make([]bool, len(l.columns)), make([]int, l.streams)
	}
	for i, chunk := range group.ColumnChunks() {
		c.columns[i].open(chunk)
		counted, ok := chunk.(interface{ NullCount() int64 })
		c.absent[i] = ok && counted.NullCount() == chunk.NumValues()
	}
	c.pickLevelColumn(l.root)
}

// pickLevelColumn picks the column to read f's levels from, and those for the fields below f.
// All columns below f agree on whether f is there and repeats. One with values is preferred,
// because it is read anyway.
func (c *rowCursor) pickLevelColumn(f *Field) int {
	first := f.column
	for i, child := range f.Fields {
		if column := c.pickLevelColumn(child); i == 0 || c.absent[first] && !c.absent[column] {
			first = column
		}
	}
	if f.stream >= 0 {
		c.levelColumn[f.stream] = first
	}
	return first
}

// next starts on the next row. All entries of the previous row must have been skipped.
func (c *rowCursor) next() error {
	for i := range c.columns {
		column := &c.columns[i]
		if c.absent[i] && column.pages == nil {
			continue
		}
		column.release()
		v, err := column.peek()
		if err == nil && v.RepetitionLevel() > 0 {
			err = errors.New("a row has more elements in it than in the other columns")
		}
		if err != nil {
			return c.failed(i, err)
		}
	}
	return nil
}

// end fails unless the last row was skipped and every column that was read is at its end.
func (c *rowCursor) end() error {
	for i := range c.columns {
		if c.absent[i] && c.columns[i].pages == nil {
			continue
		}
		if err := c.columns[i].atEnd(); err != nil {
			return c.failed(i, err)
		}
	}
	return nil
}

func (c *rowCursor) failed(column int, err error) error {
	if errors.Is(err, io.EOF) {
		err = errors.New("it ends too early")
	}
	return fmt.Errorf("reading the column %s: %w", c.layout.columns[column].Path(), err)
}

// close releases the row group.
func (c *rowCursor) close() error {
	var failed error
	for i := range c.columns {
		failed = errors.Join(failed, c.columns[i].close())
	}
	return failed
}

// entryIn returns the next entry of a column. The row must have one.
func (c *rowCursor) entryIn(column int) parquet.Value {
	v, err := c.columns[column].peek()
	if err != nil && c.err == nil {
		c.err = c.failed(column, err)
	}
	return v
}

// entry returns the next entry of a leaf. If the leaf has no value in the whole row group, the
// entry is a null without levels.
func (c *rowCursor) entry(f *Field) parquet.Value {
	if c.absent[f.column] {
		return parquet.Value{}
	}
	return c.entryIn(f.column)
}

// level returns the definition level of f's slot: at least f.def for a value, or for an element
// that has one. For lists, see emptyLevel.
func (c *rowCursor) level(f *Field) int {
	if f.stream < 0 {
		return c.entry(f).DefinitionLevel()
	}
	return c.entryIn(c.levelColumn[f.stream]).DefinitionLevel()
}

// repLevel returns the repetition level of the next entry below a list, 0 at the end of the row.
func (c *rowCursor) repLevel(f *Field) int {
	column := c.levelColumn[f.stream]
	v, err := c.columns[column].peek()
	if err != nil && !errors.Is(err, io.EOF) && c.err == nil {
		c.err = c.failed(column, err)
	}
	return v.RepetitionLevel()
}

// another reports whether a list has an element after the one that was read last.
func (c *rowCursor) another(f *Field) bool { return c.repLevel(f) == int(f.rep) }

// skip passes over one entry of f in every column below it.
func (c *rowCursor) skip(f *Field) {
	if f.column >= 0 {
		c.columns[f.column].skip()
	}
	for _, child := range f.Fields {
		c.skip(child)
	}
}
