package columnar

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// Copy copies the rows that r has left, unchanged and with their __origin, until there are no
// more or a part is full. [Writer.Full] tells which; what is left in r can go to another Writer.
// Copy returns the number of rows copied.
//
// Rows go from column to column without JSON in between, so a part made from parts has the same
// rows, whatever assembling and shredding would make of them. A Writer of resources copies
// tombstones too, into a part of type [Deleted]; a tombstone Writer copies nothing else.
//
// Errors come from the reader, from Create or from a part. As with Append, any error is final.
// Copy checks ctx every few hundred rows and at its end, and cannot interrupt a read of the part.
func (w *Writer) Copy(ctx context.Context, r *Reader) (rows int64, err error) {
	if w.err != nil {
		return 0, w.err
	}
	rows, err = w.copy(ctx, r)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return rows, w.failed(err)
}

func (w *Writer) copy(ctx context.Context, r *Reader) (rows int64, err error) {
	if w.tombstones && r.ResourceType() != Deleted {
		return 0, fmt.Errorf("a tombstone Writer cannot copy a part of %s", r.ResourceType())
	}
	c := copier{rowCursor: &r.cursor}
	l := w.lanes[0]
	for ; !w.full.Load(); rows++ {
		if rows%256 == 0 && ctx.Err() != nil {
			return rows, context.Cause(ctx)
		}
		if err := r.row(); err == io.EOF {
			break
		} else if err != nil {
			return rows, err
		}
		s, err := l.shareOf(ctx, r.ResourceType())
		if err != nil {
			return rows, err
		}
		c.row(s.rows)
		if r.cursor.err != nil {
			s.rows.undo()
			return rows, r.failed(r.cursor.err)
		}
		if err := l.endRow(s, c.size); err != nil {
			return rows + 1, err
		}
	}
	return rows, nil
}

// copier copies rows from a cursor into a row group.
type copier struct {
	*rowCursor
	rows    *rowGroup
	size    int // of the row's JSON, roughly
	scratch [8]byte
}

// row copies the cursor's row.
func (c *copier) row(to *rowGroup) {
	c.rows, c.size = to, 0
	to.beginRow()
	for _, f := range to.layout.root.Fields {
		c.field(f)
	}
}

// field copies a field's slot, or a list's elements, into the open slot of the enclosing struct.
func (c *copier) field(f *Field) {
	level := c.level(f)
	switch {
	case !f.List:
		if level >= int(f.def) {
			if f.Type == Struct {
				c.rows.enter(f)
			}
			c.value(f)
			return
		}
	case level == int(f.emptyLevel()):
		c.rows.emptyList(f)
	case level > int(f.emptyLevel()):
		for first := true; first || c.another(f); first = false {
			null := c.level(f) < int(f.def)
			c.rows.element(f, first, null)
			if null {
				c.skip(f)
			} else {
				c.value(f)
			}
		}
		return
	}
	c.skip(f)
}

// value copies the value of a field. The field's slot must be open, unless the field is a leaf
// that is not a list: value opens that slot itself.
func (c *copier) value(f *Field) {
	if f.Type == Struct {
		for _, child := range f.Fields {
			c.field(child)
		}
		return
	}
	v := c.entry(f)
	c.skip(f)
	to := &c.rows.columns[f.column]
	if !f.List {
		to = c.rows.leaf(f)
	}
	var b []byte
	switch f.Type {
	case Boolean:
		c.rows.bool(f, to, v.Boolean())
	case Int:
		b = binary.LittleEndian.AppendUint32(c.scratch[:0], uint32(v.Int32()))
	case Long, Timestamp:
		b = binary.LittleEndian.AppendUint64(c.scratch[:0], uint64(v.Int64()))
	default:
		b = v.ByteArray()
	}
	if f.Type != Boolean {
		c.rows.bytes(f, to, b)
	}
	c.size += len(b) + len(f.Name) + len(`"":"",`)
}
