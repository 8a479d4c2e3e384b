package columnar

import (
	"cmp"
	"context"
	"io"
)

// Options say where rows go. Create is required.
type Options struct {
	// Create opens the part that rows of a resource type go to. A Writer calls it from
	// Append, at most once for each type, and only when there is a row for it. What it
	// returns gets a whole Parquet file by the time that [Writer.Close] returns; the
	// Writer does not close it. ctx is Append's own, so that what is opened with it lasts
	// as long as that.
	//
	// The Writer may call Create, Quarantine and a part's Write from any of its goroutines. It
	// never runs two calls of Create or Quarantine at once, nor two Writes of one part.
	Create func(ctx context.Context, resourceType string) (io.Writer, error)

	// Quarantine takes a line that cannot become a row. An error ends Append. Nil: the
	// first such line ends Append with its [*DataError].
	Quarantine func(ctx context.Context, q Quarantined) error

	// TargetBytes is the size of Parquet from which a part counts as full. Default
	// 256 MiB: large enough that readers do not drown in files, small enough to be
	// uploaded again.
	TargetBytes int64

	// RowGroupBytes is the NDJSON that goes into one row group. Default 256 MiB: some
	// MiB of Parquet, and where that would be more than a quarter, as of attachments in
	// line, a row group has less. It bounds the memory of an open part, on each core that
	// works at it, to about half of it; each row group has dictionaries and pages of its
	// own for a thousand columns.
	RowGroupBytes int64

	// Cores lend Append more goroutines for a file of several MB, as many as they have that
	// nobody uses. Append does not count its own; its caller may, by [Cores.Use]. Each core
	// makes row groups of its own, so that rows are in the order of their lines within a row
	// group alone; __origin.line has it. Default: none, and rows have the order of their
	// lines.
	Cores *Cores

	// SkipHeaders passes over the headers between the blocks of files that a manifest
	// calls outputOrganizedBy something: Parameters with a parameter of the name header.
	// They are no data of the server's. Default: they are Parameters like any other.
	SkipHeaders bool

	// AttachmentOrigins are origins, such as https://bulk.example, of Attachments that
	// PartStats.Attachments counts: a server's exports may hold files that are gone with
	// its job. Default: nothing is counted.
	AttachmentOrigins []string

	// Each returns a function that is called for each row that is made of a resource, with
	// its id and meta.versionId, nil where it has none; they are good until the function
	// returns. Where there are Cores, goroutines that make rows at the same time have a
	// function each, which no other calls meanwhile. Each itself is called by NewWriter, by
	// Reset and from any of Append's goroutines, one at a time. Nil: nothing is called.
	Each func() func(resourceType string, id, version []byte)

	// PageBytes is the size from which a page is closed, before compression; a value that
	// is in a dictionary counts for 16 bytes. Default 512 KiB, 32,768 values: whoever looks for
	// one row reads a page at least, and what is open of thousands of columns is in memory.
	PageBytes int

	// Codec compresses the pages, at a level of its own; see there. Default [Zstd], at
	// its default level, 0. [Codec.Check] says what goes; anything else is Append's error.
	Codec Codec
	Level int

	// BloomFilter adds a bloom filter of the resources' ids to each row group, for who
	// looks up single ones: 1.25 to 2.5 bytes a row. Default: none.
	BloomFilter bool

	// IdentifyingBounds keeps the least and the greatest value of columns that identify
	// people in the files' statistics: of names, addresses, telecom, identifiers, dates
	// of birth and death, and what else docs/layout.md lists. There they are in the clear, also where columns are encrypted.
	// Default: these columns have none.
	IdentifyingBounds bool

	// OmitFieldIDs leaves the ids of fields out of the files' schemas. Iceberg numbers a
	// table's columns itself when it is made, and takes files that are added to it by names
	// only if they have no ids. Default: they are there.
	OmitFieldIDs bool
}

const (
	defaultRowGroup = 256 << 20

	// roomyRowGroup is from which RowGroupBytes on memory is spent for time: smaller row groups
	// are those of many Writers at once, whose memory adds up.
	roomyRowGroup = 128 << 20

	// roomyGrowth is the growth of buffers then. What a buffer moves from was touched for
	// nothing: a third of the end's size, or as much where it grows to twice its size. That is
	// 2 % of the time of a Writer's first row group.
	roomyGrowth = 4

	// indexedBytes is what a value in a dictionary adds to a page as PageBytes has it.
	indexedBytes = 16
)

func (o *Options) roomy() bool { return o.RowGroupBytes >= roomyRowGroup }

// growth is to how many times their size full buffers grow.
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
