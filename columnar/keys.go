package columnar

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/parquet-go/parquet-go"
)

// Key is what a row is known by.
type Key struct {
	ResourceType    string // of a tombstone that of what was deleted
	ID              string // "" for a resource without one
	TransactionTime string // of the row's export; "" for none
}

// Keys are the keys of all rows in their order. Only the columns that they are in are
// read, a page at a time. An error ends them.
func (r *Reader) Keys() iter.Seq2[Key, error] {
	return func(yield func(Key, error) bool) {
		for i, group := range r.file.RowGroups() {
			more, err := r.keysOf(group, yield)
			if err != nil {
				yield(Key{}, fmt.Errorf("reading row group %d: %w", i+1, err))
				return
			}
			if !more {
				return
			}
		}
	}
}

func (r *Reader) keysOf(group parquet.RowGroup, yield func(Key, error) bool) (more bool, err error) {
	root := r.layout.root
	fields := []*Field{root.field("id"), root.field("__origin").field("transactionTime")}
	if r.layout.ResourceType == Deleted {
		fields = append(fields, root.field("resourceType"))
	}
	chunks := group.ColumnChunks()
	columns := make([]*flatColumn, len(fields))
	for i, f := range fields {
		columns[i] = &flatColumn{pages: chunks[f.column].Pages()}
		defer columns[i].close()
	}
	for range group.NumRows() {
		var texts [3]string
		for i, c := range columns {
			if texts[i], err = c.next(); err != nil {
				return false, err
			}
		}
		k := Key{ResourceType: r.layout.ResourceType, ID: texts[0], TransactionTime: texts[1]}
		if r.layout.ResourceType == Deleted {
			k.ResourceType = texts[2]
		}
		if !yield(k, nil) {
			return false, nil
		}
	}
	return true, nil
}

// flatColumn reads a column of texts that has one entry a row.
type flatColumn struct {
	pages  parquet.Pages
	page   parquet.Page
	values parquet.ValueReader
	buffer [256]parquet.Value
	left   []parquet.Value // of buffer
}

// next is the next row's text, "" for null.
func (c *flatColumn) next() (string, error) {
	for len(c.left) == 0 {
		if c.values == nil {
			page, err := c.pages.ReadPage()
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // there are more rows
			}
			if err != nil {
				return "", err
			}
			c.page, c.values = page, page.Values()
		}
		n, err := c.values.ReadValues(c.buffer[:])
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if c.left = c.buffer[:n]; n == 0 {
			c.release()
		}
	}
	v := c.left[0]
	c.left = c.left[1:]
	if v.IsNull() {
		return "", nil
	}
	return string(v.ByteArray()), nil
}

func (c *flatColumn) release() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	c.page, c.values = nil, nil
}

func (c *flatColumn) close() {
	c.release()
	c.pages.Close()
}
