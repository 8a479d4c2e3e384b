package columnar

import (
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
	group  int // of the file's row groups, that comes next
	rows   parquet.Rows
	ended  bool // rows has no more than queue
	buffer []parquet.Row
	queue  []parquet.Row // of buffer, not given yet
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
	return &Reader{file: file, layout: l, buffer: make([]parquet.Row, 16), join: assembler{layout: l}}, nil
}

// ResourceType is the type of all its resources, or [Deleted].
func (r *Reader) ResourceType() string { return r.layout.ResourceType }

// NumRows is how many resources the part has.
func (r *Reader) NumRows() int64 { return r.file.NumRows() }

// Next returns the next resource as JSON without a line end, good until the call
// after, or [io.EOF]. The memory may be the page's, which other rows share: nothing is to
// be changed in it, or appended to it.
func (r *Reader) Next() ([]byte, error) {
	row, err := r.row()
	if err != nil {
		return nil, err
	}
	return r.join.resource(row)
}

// row returns the next row, good until the call after, or [io.EOF].
func (r *Reader) row() (parquet.Row, error) {
	for len(r.queue) == 0 {
		if r.ended { // not before the queue is empty: rows owns its memory
			err := r.rows.Close()
			r.rows, r.ended = nil, false
			if err != nil {
				return nil, fmt.Errorf("reading row group %d: %w", r.group, err)
			}
		}
		if r.rows == nil {
			if r.group == len(r.file.RowGroups()) {
				return nil, io.EOF
			}
			r.rows = r.file.RowGroups()[r.group].Rows()
			r.group++
		}
		n, err := r.rows.ReadRows(r.buffer)
		r.queue = r.buffer[:n]
		if r.ended = err == io.EOF; err != nil && !r.ended {
			return nil, fmt.Errorf("reading row group %d: %w", r.group, err)
		}
	}
	row := r.queue[0]
	r.queue = r.queue[1:]
	return row, nil
}

// Close lets go of the row group that is being read.
func (r *Reader) Close() error {
	if r.rows == nil {
		return nil
	}
	return r.rows.Close()
}
