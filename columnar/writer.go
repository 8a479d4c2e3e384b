package columnar

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Writer makes Parquet parts of NDJSON, one part for each resource type that comes
// along: servers do mix types in a file. It belongs to one goroutine.
//
// An error of Append or Close leaves the parts unfinished: they must be thrown away.
type Writer struct {
	options Options
	wrong   error // with the options
	scanner scanner
	encoder *pageEncoder
	parts   map[string]*part
	pending int64 // bytes of NDJSON in the parts' open row groups
	full    bool

	deletions   *deletions        // nil for a Writer of resources
	attachments *attachmentFinder // nil if there are no origins
}

// NewWriter returns a Writer without parts.
func NewWriter(o Options) *Writer {
	o.setDefaults()
	w := &Writer{options: o, parts: map[string]*part{}}
	if w.wrong = o.Codec.Check(o.Level); w.wrong == nil {
		w.encoder = newPageEncoder(newCompressor(o.Codec, o.Level))
	}
	if len(o.AttachmentOrigins) > 0 {
		w.attachments = newAttachmentFinder(o.AttachmentOrigins)
	}
	return w
}

// Append makes rows of lines until they end or a part is full; which of the two it
// was, [Writer.Full] tells, and what is left in lines can go to another Writer. The
// rows' column __origin says that they come from origin, unless that is nil.
//
// Errors are the reader's, Create's, Quarantine's, a part's, or a [*DataError]; the
// statistics are those up to there. Canceling ctx ends it.
func (w *Writer) Append(ctx context.Context, lines *Lines, origin *Origin) (read ReadStats, err error) {
	if w.wrong != nil {
		return read, w.wrong
	}
	defer func() { read.Bytes = lines.since() }()
	for turn := 0; !w.full; turn++ {
		if turn%256 == 0 && ctx.Err() != nil {
			return read, context.Cause(ctx)
		}
		line, err := lines.next()
		if err == io.EOF {
			break
		}
		switch {
		case err != nil:
			err = w.tooLong(ctx, line, origin, err, lines, &read)
		case w.deletions != nil:
			err = w.addDeleted(ctx, line, origin, &read)
		default:
			err = w.addResource(ctx, line, origin, &read)
		}
		if err != nil {
			return read, err
		}
	}
	return read, nil
}

// tooLong puts a line into quarantine that lines could not take. Other errors of theirs
// come back.
func (w *Writer) tooLong(ctx context.Context, l line, origin *Origin, err error, lines *Lines, read *ReadStats) error {
	var bad *DataError
	if !errors.As(err, &bad) {
		return err
	}
	if err := w.quarantine(ctx, bad, l, origin, lines); err != nil {
		return err
	}
	read.Quarantined++
	return nil
}

// refuse puts a line into quarantine.
func (w *Writer) refuse(ctx context.Context, l line, origin *Origin, reason error, read *ReadStats) error {
	bad := &DataError{Line: l.number, Offset: l.offset, Reason: reason.Error()}
	if err := w.quarantine(ctx, bad, l, origin, nil); err != nil {
		return err
	}
	read.Quarantined++
	return nil
}

func (w *Writer) quarantine(ctx context.Context, bad *DataError, l line, origin *Origin, rest *Lines) error {
	if w.options.Quarantine == nil {
		return bad
	}
	q := Quarantined{DataError: *bad, Bytes: l.bytes}
	if origin != nil {
		q.Origin = *origin
	}
	if rest != nil {
		q.Rest = rest.restOfLine()
	}
	err := w.options.Quarantine(ctx, q)
	if q.Rest != nil && err == nil {
		_, err = io.Copy(io.Discard, q.Rest)
	}
	return err
}

// typeOf is the resourceType of a line, which it mostly begins with. If there is a part
// of that type, nobody else has looked at the line.
func (w *Writer) typeOf(line []byte) ([]byte, error) {
	if rest, ok := bytes.CutPrefix(line, []byte(`{"resourceType":"`)); ok {
		if n := bytes.IndexByte(rest, '"'); n >= 0 && w.parts[string(rest[:n])] != nil {
			return rest[:n], nil
		}
	}
	return w.scan(line)
}

// scan checks a line and returns its resourceType.
func (w *Writer) scan(line []byte) ([]byte, error) {
	if err := w.scanner.scan(line); err != nil {
		return nil, err
	}
	tape := w.scanner.tape
	for i := uint32(1); i < tape[0].next; i = tape[i+1].next {
		key, value := tape[i], tape[i+1]
		name := line[key.start:key.end]
		if key.flags&flagEscaped != 0 {
			name = appendText(nil, name)
		}
		if string(name) != "resourceType" {
			continue
		}
		if value.kind != tokenString {
			return nil, errNoType
		}
		resourceType := line[value.start:value.end]
		if value.flags&flagEscaped != 0 {
			resourceType = appendText(nil, resourceType)
		}
		if !isTypeName(resourceType) {
			return nil, errTypeName
		}
		return resourceType, nil
	}
	return nil, errNoType
}

// maxParts bounds the parts that are open at once: R4 has 146 types, and what is made
// up has no end.
const maxParts = 256

var (
	errTypes    = fmt.Errorf("it is of another resource type than the %d before it", maxParts)
	errNoType   = errors.New("it has no resourceType")
	errTypeName = errors.New("its resourceType is not the name of a type")
	errUnread   = errors.New("it is valid JSON that fhirkiln fails to read, which is a bug: please report it")
)

// isTypeName says whether a resourceType can be one: it becomes part of paths.
func isTypeName(b []byte) bool {
	if len(b) == 0 || len(b) > 64 || b[0] < 'A' || b[0] > 'Z' {
		return false
	}
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// Full says whether a part has reached Options.TargetBytes, so that the Writer should
// be closed.
func (w *Writer) Full() bool { return w.full }

// Close finishes the parts and returns their statistics, ordered by type.
func (w *Writer) Close() ([]PartStats, error) {
	var stats []PartStats
	for _, p := range w.parts {
		err := p.file.rowGroup(p.rows, w.encoder, true)
		if err == nil {
			err = p.file.close(w.options.Metadata)
		}
		if err != nil {
			return nil, fmt.Errorf("finishing a part of %s: %w", p.file.layout.ResourceType, err)
		}
		stats = append(stats, PartStats{ResourceType: p.file.layout.ResourceType, Rows: p.file.rows, Bytes: p.file.at, Attachments: p.attachments})
	}
	slices.SortFunc(stats, func(a, b PartStats) int { return cmp.Compare(a.ResourceType, b.ResourceType) })
	return stats, nil
}

// part is one Parquet file that is being written.
type part struct {
	file        *fileWriter
	rows        *rowGroup
	shredder    *shredder          // of a part of resources
	tombstones  *tombstoneShredder // of a part of Deleted
	pending     int64              // bytes of NDJSON in rows
	attachments int64
}

// addResource makes a row of a line.
func (w *Writer) addResource(ctx context.Context, l line, origin *Origin, read *ReadStats) error {
	resourceType, err := w.typeOf(l.bytes)
	if err == nil && len(w.parts) >= maxParts && w.parts[string(resourceType)] == nil {
		err = errTypes
	}
	if err != nil {
		return w.refuse(ctx, l, origin, err, read)
	}
	if w.options.SkipHeaders && string(resourceType) == "Parameters" && w.scanner.scan(l.bytes) == nil && isHeader(l.bytes, w.scanner.tape) {
		read.Headers++
		return nil
	}
	p := w.parts[string(resourceType)]
	if p == nil {
		if p, err = w.partOf(ctx, string(resourceType)); err != nil {
			return err
		}
	}
	if !p.shredder.row(l.bytes, origin, l.number) {
		return w.refuse(ctx, l, origin, w.wrongWith(l.bytes), read)
	}
	if w.attachments != nil && w.attachments.in(l.bytes) {
		p.attachments++
	}
	if w.options.Each != nil {
		w.options.Each(p.file.layout.ResourceType, p.shredder.id, p.shredder.version)
	}
	read.Resources++
	return w.endRow(p, len(l.bytes))
}

// wrongWith says what is wrong with a line that a shredder did not take.
func (w *Writer) wrongWith(line []byte) error {
	if err := w.scanner.scan(line); err != nil {
		return err
	}
	return errUnread
}

// partOf is the part of a resource type, or of [Deleted]. It is opened if need be.
func (w *Writer) partOf(ctx context.Context, resourceType string) (*part, error) {
	if p := w.parts[resourceType]; p != nil {
		return p, nil
	}
	out, err := w.options.Create(ctx, resourceType)
	if err != nil {
		return nil, err
	}
	layout := LayoutOf(resourceType)
	p := &part{file: newFileWriter(out, layout, w.options.Codec), rows: newRowGroup(layout, &w.options)}
	if resourceType == Deleted {
		p.tombstones = newTombstoneShredder(p.rows)
	} else {
		p.shredder = newShredder(p.rows)
	}
	w.parts[resourceType] = p
	return p, nil
}

// endRow closes a part's row, which was made of so many bytes, and writes row groups
// that are large enough.
func (w *Writer) endRow(p *part, bytes int) error {
	p.rows.endRow(w.encoder)
	p.pending += int64(bytes)
	w.pending += int64(bytes)
	switch {
	case p.pending >= w.options.RowGroupBytes:
		return w.flush(p)
	case w.pending >= 2*w.options.RowGroupBytes: // many types at once share the memory of two
		for _, other := range w.parts {
			if other.pending > p.pending {
				p = other
			}
		}
		return w.flush(p)
	}
	return nil
}

// flush writes a part's row group.
func (w *Writer) flush(p *part) error {
	w.pending -= p.pending
	p.pending = 0
	err := p.file.rowGroup(p.rows, w.encoder, false)
	p.rows.reset()
	if err != nil {
		return fmt.Errorf("writing a part of %s: %w", p.file.layout.ResourceType, err)
	}
	w.full = w.full || p.file.at >= w.options.TargetBytes
	return nil
}
