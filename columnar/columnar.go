// Package columnar converts FHIR NDJSON to Parquet and back. It knows no HTTP and no storage: it
// reads NDJSON from a reader, writes Parquet to writers, and returns statistics.
//
// The common path converts one or more NDJSON files into one part per resource type:
//
//	w := columnar.NewWriter(columnar.Options{Create: create})
//	lines := columnar.NewLines(ndjson, 0)
//	read, err := w.Append(ctx, lines, &columnar.Origin{File: "patients.ndjson"})
//	if err != nil {
//		return err // the parts are unfinished
//	}
//	parts, err := w.Close() // if w.Full(), the rest of lines goes to another Writer
//	if err != nil {
//		return err
//	}
//
// And back:
//
//	r, err := columnar.NewReader(file, size)
//	if err != nil {
//		return err
//	}
//	defer r.Close()
//	for {
//		resource, err := r.Next() // JSON, valid until the next call
//		if err == io.EOF {
//			break
//		}
//		if err != nil {
//			return err
//		}
//	}
//
// The package's example does both, for any number of parts. A manifest's deleted files go through
// [NewTombstoneWriter] in the same way, into parts of type [Deleted].
//
// # Layout
//
// The [Layout] of a resource type defines its columns: R4's elements, typed and under their own
// names, and side columns for everything else. A layout never depends on the data, so all files
// of a type have the same columns. It has a place for everything that JSON can hold, so a
// resource comes back as it went in: the same members, arrays in order, numbers as written.
// Layouts are versioned as a whole; see [LayoutName]. docs/layout.md describes them for users.
//
// # From line to file
//
// A shredder walks a line along the layout and appends values and levels to the columns of a row
// group. What the layout has no column for goes through a scanner first, which puts it on a tape
// of tokens. If the line turns out not to be JSON, the row is undone. That is the only way a row
// can fail: later errors come from the caller's writer, or from a page over 2 GiB. A page encoder
// turns columns into pages, and a file writer puts the pages into a file.
//
// Resources of a type look much alike, so what came before is not parsed again. A shredder
// remembers which member follows which. A column guesses its next text. A struct remembers
// recent objects and what each did to the row group (echoes), and a column of dates the starts
// of its dates (starts). Echoes and starts refer to a value by its index in a column's
// dictionary. When indices become invalid, the row group begins a new epoch, and both are
// forgotten. See rowGroup for the rules that keep undo and echoes correct.
//
// All of this, up to the file writer, is a lane. Lines arrive in blocks, and if Options.Cores has
// cores to spare, several lanes take turns at the blocks of one file:
//
//	Writer.Append   an intake deals a file's blocks (Lines, block) to lanes
//	  lane          one goroutine's state; it has a share of each part (one per resource type)
//	    shredder    turns a line into a row of the share's row group
//	      rowGroup  has a stream of levels for each struct and list, and a column for each leaf;
//	                a column has finished pages and an open page
//	    pageEncoder turns open pages into finished ones: levels, values, compression (pack)
//	  fileWriter    writes a part's file: row groups from all lanes, page index, footer
package columnar

import (
	"fmt"
	"io"
)

// Origin says where rows came from; it fills their __origin column. Empty fields are null.
type Origin struct {
	Source          string // the server's name in the configuration
	Feed            string
	Run             string
	File            string // path, or URL without its query
	TransactionTime string // the export's, as the server wrote it
}

// DataError reports a line that cannot become a row. It says where the line is but never quotes
// it, because the line may hold patient data.
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

	// Bytes is the line. If the line is too long, Bytes is its beginning and Rest reads the
	// remainder. For a deleted file's Bundle, it is the entry alone. Both are valid until
	// Options.Quarantine returns.
	Bytes []byte
	Rest  io.Reader // nil unless the line is too long
}

// ReadStats counts what [Writer.Append] took from a file.
type ReadStats struct {
	Resources   int64 // lines that became rows
	Quarantined int64 // lines that did not
	Bundles     int64 // in deleted files: lines that are Bundles, whatever became of their entries
	Headers     int64 // lines that Options.SkipHeaders skipped; in no other count of lines
	Bytes       int64 // NDJSON read, line ends included
}

// Add adds the counts of another read.
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
	FullFooter   bool  // the footer has reached its size limit, however small the file; see maxChunks
}
