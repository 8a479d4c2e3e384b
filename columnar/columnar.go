// Package columnar turns FHIR NDJSON into Parquet and back. It knows no HTTP and no
// storage: NDJSON comes in from a reader, Parquet goes out to writers, and statistics
// come back.
//
// The common path, for one or more NDJSON files that go into one part for each
// resource type:
//
//	w := columnar.NewWriter(columnar.Options{Create: create})
//	lines := columnar.NewLines(ndjson, 0)
//	read, err := w.Append(ctx, lines, &columnar.Origin{File: "patients.ndjson"})
//	parts, err := w.Close()
//
// and back:
//
//	r, err := columnar.NewReader(file, size)
//	for {
//		resource, err := r.Next() // JSON, io.EOF at the end
//	}
//
// A manifest's deleted files go through [NewTombstoneWriter] in the same way, into a
// part of the type [Deleted].
//
// # Layout
//
// What columns a resource type has is its [Layout], [LayoutName]: R4's elements, typed,
// under their own names, and side columns for all else. It depends on the data in
// nothing, so every file of a type has the same columns, and it has a place for
// everything that JSON can hold, so what comes back is what went in: the same members,
// arrays in their order, numbers as they were written. docs/layout.md has it for
// people.
//
// # The way of a line
//
// A shredder reads the line along the layout, and leaves values and levels in the
// columns of a row group. What the layout has no place for, a scanner puts on a tape of
// tokens first. If the line turns out not to be JSON, the row is undone: nothing else
// behind a line can fail but what the caller gave to create a part and to write it. A page
// encoder makes pages of the columns, and a file writer puts those into a file.
//
// Resources of a type are much alike, and what came before is not looked at again: a shredder
// knows which member came after which, a column which text (its guess), and a struct which
// objects it has had and what each did (echoes). All of that goes by places in the columns'
// dictionaries; when those change, a row group's epoch does, and it is forgotten.
//
// All that is a lane, up to the file. Lines come in blocks, and where [Options] has cores
// to spare, several lanes take those of one file in turn:
//
//	Writer.Append   an intake deals a file's blocks (Lines, block) to lanes
//	  lane          a goroutine; it has a share of each part: of a resource type
//	    shredder    a line becomes a row of the share's
//	      rowGroup  whose struct and list levels are streams, and whose leaves columns;
//	                a column has finished pages, and an open one
//	    pageEncoder makes pages of open ones: levels, values, compression (pack)
//	  fileWriter    a part's file: row groups of all lanes, page index, footer
package columnar

import (
	"fmt"
	"io"
)

// Origin is where rows came from, for their column __origin. Empty fields are null.
type Origin struct {
	Source          string // config's name of the server
	Feed            string
	Run             string
	File            string // path, or URL without its query
	TransactionTime string // of the export, as the server wrote it
}

// DataError says that a line cannot become a row. It names where, never what: the
// line may hold patient data.
type DataError struct {
	Line   int64 // counted from 1
	Offset int64 // of the line's first byte in the NDJSON, in bytes
	Reason string
}

func (e *DataError) Error() string {
	return fmt.Sprintf("line %d (at byte %d): %s", e.Line, e.Offset, e.Reason)
}

// Quarantined is a line that cannot become a row.
type Quarantined struct {
	DataError
	Origin Origin

	// Bytes is the line, or the begin of one that is too long, whose end is in Rest; of
	// a deleted file's Bundle the entry alone. Both are good until Options.Quarantine
	// returns.
	Bytes []byte
	Rest  io.Reader // nil unless the line is too long
}

// ReadStats counts what [Writer.Append] took from a file.
type ReadStats struct {
	Resources   int64 // lines that became rows
	Quarantined int64 // lines that did not
	Bundles     int64 // of deleted files: lines that are Bundles, whatever became of their entries
	Headers     int64 // lines that Options.SkipHeaders passed over; they are in no other count
	Bytes       int64 // NDJSON read, line ends included
}

// Add adds what was read in another go.
func (s *ReadStats) Add(o ReadStats) {
	s.Resources += o.Resources
	s.Quarantined += o.Quarantined
	s.Bundles += o.Bundles
	s.Headers += o.Headers
	s.Bytes += o.Bytes
}

// PartStats describes one finished part.
type PartStats struct {
	ResourceType string // or Deleted
	Rows         int64
	Bytes        int64 // of the Parquet file
	Attachments  int64 // rows with an Attachment at one of Options.AttachmentOrigins
	FullFooter   bool  // its footer is as large as readers like, however small the file: see mostChunks
}
