package columnar

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/parquet-go/parquet-go"
)

// Key identifies a row.
type Key struct {
	ResourceType    string // for a tombstone, that of what was deleted
	ID              string // "" for a resource without one
	TransactionTime string // of the row's export; "" for none
}

// Keys returns an iterator over the keys of all rows in order. It reads only the columns that they
// are in, a page at a time. An error ends the iteration.
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
	columns := make([]chunkReader, len(fields))
	for i, f := range fields {
		columns[i].open(chunks[f.column])
		defer func() { _ = columns[i].close() }() // what was read is complete
	}
	for range group.NumRows() {
		var texts [3]string
		for i := range columns {
			if texts[i], err = nextText(&columns[i]); err != nil {
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

// nextText returns the next entry of a text column that has one for each row, "" for null.
func nextText(c *chunkReader) (string, error) {
	defer c.release()
	v, err := c.peek()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // there are more rows
	}
	c.skip()
	if err != nil || v.IsNull() {
		return "", err
	}
	return string(v.ByteArray()), nil
}
