// Package columnar turns FHIR NDJSON into Parquet. It knows no HTTP and no storage:
// NDJSON comes in from a reader, Parquet goes out to writers, and statistics come back.
//
// The common path, for one or more NDJSON files that go into one part for each
// resource type:
//
//	w := columnar.NewWriter(columnar.Options{Create: create})
//	lines := columnar.NewLines(ndjson, 0)
//	read, err := w.Append(ctx, lines)
//	parts, err := w.Close()
//
// # Layout
//
// The layout is [Layout], for now the envelope: resourceType, id, meta.versionId and
// meta.lastUpdated as columns, and the resource's line, byte for byte, in the column
// resource. A layout depends on the data in nothing: every file of it has the same
// columns.
package columnar

import (
	"fmt"
)

// Layout names the columns that a [Writer] writes, as it stands in paths.
const Layout = "envelope-0"

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

// ReadStats counts what [Writer.Append] took from a file.
type ReadStats struct {
	Resources int64 // lines that became rows
	Bytes     int64 // NDJSON read, line ends included
}

// PartStats describes one finished part.
type PartStats struct {
	ResourceType string
	Rows         int64
	Bytes        int64 // of the Parquet file
}
