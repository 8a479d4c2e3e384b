package columnar

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// Reader returns the resources of a part that a [Writer] made: the same members, arrays in order,
// and numbers as written. The order of members and the white space are its own. It returns
// tombstones as lines of a deleted file: a Bundle with one entry for each. A Reader belongs to one
// goroutine.
type Reader struct {
	file      *parquet.File
	layout    *Layout
	group     int       // index of the next row group
	cursor    rowCursor // of the row group before it
	inside    bool      // cursor has a row group open
	left      int64     // rows of it still to come
	assembler assembler
}

// NewReader opens a part. It returns an error if the part was not written with this layout.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	file, err := parquet.OpenFile(r, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		return nil, fmt.Errorf("opening the Parquet file: %w", err)
	}
	name, _ := file.Lookup(KeyLayout)
	resourceType, _ := file.Lookup(KeyResourceType)
	hash, _ := file.Lookup(KeySchema)
	switch {
	case name == "":
		return nil, fmt.Errorf("the file was not written by fhirkiln: its metadata has no %s", KeyLayout)
	case name != LayoutName:
		return nil, fmt.Errorf("the file has layout %s; this version reads %s", name, LayoutName)
	}
	l := LayoutOf(resourceType)
	if hash != l.Hash() {
		return nil, fmt.Errorf("the file's columns are not those of %s for %s (its schema has hash %.12s, not %.12s)", LayoutName, resourceType, hash, l.Hash())
	}
	reader := &Reader{file: file, layout: l}
	reader.assembler.rowCursor = &reader.cursor
	return reader, nil
}

// ResourceType returns the type of all the part's resources, or [Deleted].
func (r *Reader) ResourceType() string { return r.layout.ResourceType }

// NumRows returns the number of resources in the part.
func (r *Reader) NumRows() int64 { return r.file.NumRows() }

// Next returns the next resource as JSON without a line end, or [io.EOF]. The bytes are valid
// until the next call. They may be a page's memory, shared with other rows: callers must not
// change them or append to them.
func (r *Reader) Next() ([]byte, error) {
	if err := r.row(); err != nil {
		return nil, err
	}
	line, err := r.assembler.resource()
	if err == nil {
		err = r.cursor.err
	}
	if err != nil {
		return nil, r.failed(err)
	}
	return line, nil
}

// row moves the cursor to the next row, or returns [io.EOF].
func (r *Reader) row() error {
	for r.left == 0 {
		if r.inside {
			r.inside = false
			if err := errors.Join(r.cursor.end(), r.cursor.close()); err != nil {
				return r.failed(err)
			}
		}
		groups := r.file.RowGroups()
		if r.group == len(groups) {
			return io.EOF
		}
		r.cursor.open(r.layout, groups[r.group])
		r.left, r.inside = groups[r.group].NumRows(), true
		r.group++
	}
	r.left--
	if err := r.cursor.next(); err != nil {
		return r.failed(err)
	}
	return nil
}

func (r *Reader) failed(err error) error { return fmt.Errorf("reading row group %d: %w", r.group, err) }

// Close releases the open row group. No rows follow: Next returns [io.EOF].
func (r *Reader) Close() error {
	r.group, r.inside, r.left = len(r.file.RowGroups()), false, 0
	return r.cursor.close()
}
