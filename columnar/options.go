package columnar

import (
	"cmp"
	"context"
	"errors"
	"io"
)

// Options configures a [Writer]. Create is required. NewWriter and Reset accept invalid options; the
// Writer's Append, Copy and Close then return an error.
type Options struct {
	// Create opens the part for the rows of a resource type. A Writer calls it from Append or
	// Copy, at most once per type, and only when it has a row for the type. By the time
	// [Writer.Close] returns, the io.Writer has received a whole Parquet file; the Writer does not
	// close it. ctx is the one that Append or Copy was given, so whatever is opened with it lasts
	// as long as that context.
	//
	// The Writer may call Create, Quarantine and a part's Write from any of its goroutines. It
	// never makes two calls to Create or Quarantine at the same time, nor two Writes to one part.
	Create func(ctx context.Context, resourceType string) (io.Writer, error)

	// Quarantine takes a line that cannot become a row. If it returns an error, Append ends. If it
	// is nil, the first such line ends Append with its [*DataError].
	Quarantine func(ctx context.Context, q Quarantined) error

	// TargetBytes is the size of Parquet at which a part counts as full. Default 256 MiB: large
	// enough that readers do not drown in files, small enough to upload again.
	TargetBytes int64

	// RowGroupBytes is how much NDJSON goes into one row group. Default 256 MiB, which is some MiB
	// of Parquet. Where the Parquet would be more than a quarter of RowGroupBytes, as with inline
	// attachments, a row group gets less NDJSON. The memory of an open part, on each core that
	// works on it, is limited to about half of RowGroupBytes. Each row group has its own
	// dictionaries and pages for a thousand columns.
	RowGroupBytes int64

	// Cores lends Append more goroutines for a file of several MB, one for each idle core. Append
	// does not count its own goroutine; its caller may, with [Cores.Use]. Each core makes its own
	// row groups, so rows are in the order of their lines only within a row group;
	// __origin.line has the order. Default: none, and all rows are in the order of their lines.
	Cores *Cores

	// SkipHeaders skips the headers between the blocks of files for which a manifest has
	// outputOrganizedBy: Parameters with a parameter named header. They are not the server's data.
	// Default: they are Parameters like any other.
	SkipHeaders bool

	// AttachmentOrigins are the origins, such as https://bulk.example, of Attachments that
	// PartStats.Attachments counts: a server's exports may refer to files that are gone with its
	// job. Default: nothing is counted.
	AttachmentOrigins []string

	// Each returns a function that is called for each row made from a resource, with its id and
	// meta.versionId, nil if missing; both are valid until the function returns. With Cores,
	// goroutines that make rows at the same time each have their own function, which no other
	// goroutine calls meanwhile. Each itself is called by NewWriter, by Reset and from any of
	// Append's goroutines, one at a time. Nil: nothing is called.
	Each func() func(resourceType string, id, version []byte)

	// PageBytes is the size at which a page is cut, before compression; a value in a dictionary
	// counts as 16 bytes. Default 512 KiB, or 32,768 values in a dictionary: a reader looking for
	// one row reads at least a page, and the open pages of thousands of columns are in memory.
	PageBytes int

	// Codec compresses the pages at Level; see [Codec] for the levels. Default [Zstd] at its
	// default level, 0. [Codec.Check] says what is valid.
	Codec Codec
	Level int

	// BloomFilter adds a bloom filter of the resources' ids to each row group, for lookups of
	// single resources: 1.25 to 2.5 bytes per row. Default: none.
	BloomFilter bool

	// IdentifyingBounds keeps the min and max values of columns that identify people in the files'
	// statistics: names, addresses, telecom, identifiers, dates of birth and death, and the rest
	// of the list in docs/layout.md. They are in the clear there, even where columns are
	// encrypted. Default: these columns have none.
	IdentifyingBounds bool

	// OmitFieldIDs leaves field ids out of the files' schemas. Iceberg numbers a table's columns
	// itself when it creates the table, and matches the columns of files that are added to it by
	// name only if the files have no ids. Default: ids are written.
	OmitFieldIDs bool
}

const (
	defaultRowGroup = 256 << 20

	// roomyRowGroup is the RowGroupBytes from which memory is spent to save time. Smaller row
	// groups are those of many Writers at once, whose memory adds up.
	roomyRowGroup = 128 << 20

	// roomyGrowth is the growth factor of buffers from roomyRowGroup on. The memory that a buffer
	// moves out of was touched for nothing: in total a third of the buffer's final size, or all of
	// it if buffers only double. That is 2 % of the time of a Writer's first row group.
	roomyGrowth = 4

	// indexedBytes is what a value in a dictionary counts toward PageBytes.
	indexedBytes = 16
)

func (o *Options) roomy() bool { return o.RowGroupBytes >= roomyRowGroup }

// growth is the factor by which full buffers grow.
func (o *Options) growth() int {
	if o.roomy() {
		return roomyGrowth
	}
	return 2
}

func (o *Options) setDefaults() {
	o.TargetBytes = cmp.Or(o.TargetBytes, 256<<20)
	o.RowGroupBytes = cmp.Or(o.RowGroupBytes, defaultRowGroup)
	o.PageBytes = cmp.Or(o.PageBytes, 512<<10)
	o.Codec = cmp.Or(o.Codec, Zstd)
}

// check reports what is wrong with options that have their defaults.
func (o *Options) check() error {
	if o.Create == nil {
		return errors.New("columnar: Options.Create is nil")
	}
	return o.Codec.Check(o.Level)
}
