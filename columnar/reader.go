package columnar

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// Reader gives back the resources of a part that a [Writer] made: the same members,
// arrays in their order and numbers as written; order of members and white space are
// its own. Of tombstones it makes the lines of a deleted file: a Bundle for each, with
// that one entry. It belongs to one goroutine.
type Reader struct {
	file   *parquet.File
	layout *Layout
	group  int       // of the file's row groups, that comes next
	cursor rowCursor // of the one before it
	inside bool      // that is being read
	left   int64     // rows of it
	join   assembler
}

// NewReader opens a part. It is an error if the part was not written by this layout.
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
		return nil, fmt.Errorf("the file is not fhirkiln's: its metadata has no %s", KeyLayout)
	case name != LayoutName:
		return nil, fmt.Errorf("the file has layout %s; this version reads %s", name, LayoutName)
	}
	l := LayoutOf(resourceType)
	if hash != l.Hash() {
		return nil, fmt.Errorf("the columns of the file are not those of %s for %s (its schema has hash %.12s, not %.12s)", LayoutName, resourceType, hash, l.Hash())
	}
	reader := &Reader{file: file, layout: l}
	reader.join.rowCursor = &reader.cursor
	return reader, nil
}

// ResourceType is the type of all its resources, or [Deleted].
func (r *Reader) ResourceType() string { return r.layout.ResourceType }

// NumRows is how many resources the part has.
func (r *Reader) NumRows() int64 { return r.file.NumRows() }

// Next returns the next resource as JSON without a line end, good until the call
// after, or [io.EOF]. The memory may be the page's, which other rows share: nothing is to
// be changed in it, or appended to it.
func (r *Reader) Next() ([]byte, error) {
	if err := r.row(); err != nil {
		return nil, err
	}
	line, err := r.join.resource()
	if err == nil {
		err = r.cursor.err
	}
	if err != nil {
		return nil, r.failed(err)
	}
	return line, nil
}

// row has the cursor begin with the next row, or returns [io.EOF].
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

// Close lets go of the row group that is being read. There are no rows after it.
func (r *Reader) Close() error {
	r.group, r.inside, r.left = len(r.file.RowGroups()), false, 0
	return r.cursor.close()
}
