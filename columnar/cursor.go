package columnar

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// rowCursor takes the rows of a row group apart, field by field in the layout's order. In each
// slot of a struct every column below it has an entry, a null for what is not there, and each
// entry is passed over once.
//
// Most columns of a row group have no value at all, and within a list as many nulls as the list
// has elements. Such a column is looked into where it alone tells whether a struct is there, and
// where it is a list, for its elements' number.
type rowCursor struct {
	layout  *Layout
	columns []chunkReader
	absent  []bool // by column: it has no value
	teller  []int  // by stream: the column that tells of a struct or list
	err     error  // of reading; entries are nulls from then on
}

// open begins with another row group.
func (c *rowCursor) open(l *Layout, group parquet.RowGroup) {
	if c.layout != l {
		c.layout, c.columns = l, make([]chunkReader, len(l.columns))
		c.absent, c.teller = make([]bool, len(l.columns)), make([]int, l.streams)
	}
	for i, chunk := range group.ColumnChunks() {
		c.columns[i].open(chunk)
		counted, ok := chunk.(interface{ NullCount() int64 })
		c.absent[i] = ok && counted.NullCount() == chunk.NumValues()
	}
	c.tells(l.root)
}

// tells finds which column tells of f and of what is below it. Whether f is there, and repeats,
// all columns below it say alike; one that has values is read anyway.
func (c *rowCursor) tells(f *Field) int {
	first := f.column
	for i, child := range f.Fields {
		if column := c.tells(child); i == 0 || c.absent[first] && !c.absent[column] {
			first = column
		}
	}
	if f.stream >= 0 {
		c.teller[f.stream] = first
	}
	return first
}

// next begins with the next row. The one before must have been passed over.
func (c *rowCursor) next() error {
	for i := range c.columns {
		column := &c.columns[i]
		if c.absent[i] && column.pages == nil {
			continue
		}
		column.release()
		v, err := column.peek()
		if err == nil && v.RepetitionLevel() > 0 {
			err = errors.New("a row has more elements there than elsewhere")
		}
		if err != nil {
			return c.failed(i, err)
		}
	}
	return nil
}

// end fails unless the last row was passed over.
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

// close lets go of the row group.
func (c *rowCursor) close() error {
	var failed error
	for i := range c.columns {
		failed = errors.Join(failed, c.columns[i].close())
	}
	return failed
}

// entryIn is the next entry of a column, of which the row must have one.
func (c *rowCursor) entryIn(column int) parquet.Value {
	v, err := c.columns[column].peek()
	if err != nil && c.err == nil {
		c.err = c.failed(column, err)
	}
	return v
}

// entry is the next entry of a leaf. That of one without any value is a null that tells no level.
func (c *rowCursor) entry(f *Field) parquet.Value {
	if c.absent[f.column] {
		return parquet.Value{}
	}
	return c.entryIn(f.column)
}

// level is the definition level of f's slot: at least f.def for a value, or an element with
// one; see emptyLevel for lists.
func (c *rowCursor) level(f *Field) int {
	if f.stream < 0 {
		return c.entry(f).DefinitionLevel()
	}
	return c.entryIn(c.teller[f.stream]).DefinitionLevel()
}

// repeats is the repetition level of what comes next below a list, 0 at the end of the row.
func (c *rowCursor) repeats(f *Field) int {
	column := c.teller[f.stream]
	v, err := c.columns[column].peek()
	if err != nil && !errors.Is(err, io.EOF) && c.err == nil {
		c.err = c.failed(column, err)
	}
	return v.RepetitionLevel()
}

// another says whether a list has an element after the one that was read last.
func (c *rowCursor) another(f *Field) bool { return c.repeats(f) == int(f.rep) }

// skip passes over one entry of f in all columns below it.
func (c *rowCursor) skip(f *Field) {
	if f.column >= 0 {
		c.columns[f.column].skip()
	}
	for _, child := range f.Fields {
		c.skip(child)
	}
}
