package columnar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// Options say where rows go. Create is required.
type Options struct {
	// Create opens the part that rows of a resource type go to. A Writer calls it from
	// Append, at most once for each type, and only when there is a row for it. What it
	// returns gets a whole Parquet file by the time that [Writer.Close] returns; the
	// Writer does not close it.
	Create func(ctx context.Context, resourceType string) (io.Writer, error)

	// TargetBytes is the size of Parquet from which a part counts as full. Default
	// 256 MiB: large enough that readers do not drown in files, small enough to be
	// uploaded again.
	TargetBytes int64

	// RowGroupBytes is the NDJSON that goes into one row group. Default 64 MiB: a few
	// MiB of Parquet each. It bounds the memory of an open part.
	RowGroupBytes int64

	// Metadata is written as the file's key-value metadata, beside the layout's name.
	// It must be the same for equal runs of equal data.
	Metadata map[string]string
}

// Writer makes Parquet parts of NDJSON, one part for each resource type that comes
// along: servers do mix types in a file. It belongs to one goroutine.
//
// An error of Append or Close leaves the parts unfinished: they must be thrown away.
type Writer struct {
	options Options
	reader  envelopeReader
	current envelope
	parts   map[string]*part
	full    bool
}

// NewWriter returns a Writer without parts.
func NewWriter(o Options) *Writer {
	o.TargetBytes = cmp.Or(o.TargetBytes, 256<<20)
	o.RowGroupBytes = cmp.Or(o.RowGroupBytes, 64<<20)
	return &Writer{options: o, parts: map[string]*part{}}
}

// Append makes rows of lines until they end or a part is full; which of the two it
// was, [Writer.Full] tells, and what is left in lines can go to another Writer. Errors
// are the reader's, Create's, a part's, or a [*DataError]. Canceling ctx ends it.
func (w *Writer) Append(ctx context.Context, lines *Lines) (read ReadStats, _ error) {
	defer func() { read.Bytes = lines.since() }()
	for !w.full {
		if read.Resources%256 == 0 && ctx.Err() != nil {
			return read, context.Cause(ctx)
		}
		line, err := lines.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return read, err
		}
		if err := w.reader.read(line.bytes, &w.current); err != nil {
			return read, &DataError{Line: line.number, Offset: line.offset, Reason: err.Error()}
		}
		if err := w.add(ctx, &w.current); err != nil {
			return read, err
		}
		read.Resources++
	}
	return read, nil
}

// Full says whether a part has reached Options.TargetBytes, so that the Writer should
// be closed.
func (w *Writer) Full() bool { return w.full }

// Close finishes the parts and returns their statistics, ordered by type.
func (w *Writer) Close() ([]PartStats, error) {
	var stats []PartStats
	for _, p := range w.parts {
		if err := p.parquet.Close(); err != nil {
			return nil, fmt.Errorf("finishing a part of %s: %w", p.resourceType, p.cause(err))
		}
		stats = append(stats, PartStats{ResourceType: p.resourceType, Rows: p.rows, Bytes: p.out.n})
	}
	slices.SortFunc(stats, func(a, b PartStats) int { return cmp.Compare(a.ResourceType, b.ResourceType) })
	return stats, nil
}

func (w *Writer) add(ctx context.Context, e *envelope) error {
	p := w.parts[string(e.resourceType.bytes)]
	if p == nil {
		resourceType := string(e.resourceType.bytes)
		out, err := w.options.Create(ctx, resourceType)
		if err != nil {
			return err
		}
		p = newPart(resourceType, out, w.options.Metadata)
		w.parts[resourceType] = p
	}
	p.row = e.row(p.row[:0])
	if _, err := p.parquet.WriteRows([]parquet.Row{p.row}); err != nil {
		return fmt.Errorf("writing a part of %s: %w", p.resourceType, p.cause(err))
	}
	p.rows++
	p.pending += int64(len(e.resource))
	if p.pending < w.options.RowGroupBytes {
		return nil
	}
	p.pending = 0
	if err := p.parquet.Flush(); err != nil {
		return fmt.Errorf("writing a part of %s: %w", p.resourceType, p.cause(err))
	}
	w.full = w.full || p.out.n >= w.options.TargetBytes
	return nil
}

// part is one Parquet file that is being written.
type part struct {
	resourceType string
	out          *counter
	parquet      *parquet.GenericWriter[any]
	row          parquet.Row
	rows         int64
	pending      int64 // bytes of NDJSON in the open row group
}

func newPart(resourceType string, out io.Writer, metadata map[string]string) *part {
	p := &part{resourceType: resourceType, out: &counter{w: out}, row: make(parquet.Row, 0, envelopeColumns)}
	options := []parquet.WriterOption{
		parquet.SchemaOf(envelopeRow{}),
		parquet.Compression(newCodec()),
		parquet.DataPageVersion(1), // not every engine reads version 2
		// Statistics of a whole resource prune nothing, are as long as it, and would
		// put patient data into the footer.
		parquet.SkipPageBounds("resource"),
		parquet.SkipPageStatistics("resource"),
		parquet.KeyValueMetadata("fhirkiln.layout", Layout),
	}
	for k, v := range metadata {
		options = append(options, parquet.KeyValueMetadata(k, v))
	}
	p.parquet = parquet.NewGenericWriter[any](p.out, options...)
	return p
}

// cause prefers the error of the part's own writer, which parquet-go may dress up.
func (p *part) cause(err error) error {
	if p.out.err != nil && !errors.Is(err, p.out.err) {
		return p.out.err
	}
	return err
}

// counter counts what goes through it and remembers why it failed.
type counter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}
