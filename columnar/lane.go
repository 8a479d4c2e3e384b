package columnar

import (
	"context"
	"errors"
	"io"
	"strings"
)

// lane is one goroutine's path from lines to row groups. It has everything that shredding and
// encoding need, so lanes share nothing but the files that they write to. It keeps row groups that
// are not full from one Append to the next.
type lane struct {
	w *Writer
	*workspace
	shares  map[string]*share // by resource type
	last    *share            // the share that likelyShare looked up last
	pending int64             // bytes of NDJSON in the shares' row groups

	each func(resourceType string, id, version []byte) // Options.Each's, or nil

	deletions   *deletions        // nil in a Writer of resources
	attachments *attachmentFinder // nil if there are no origins

	// Of the current Append.
	origin *Origin
	read   ReadStats
}

// share is a lane's share of a part.
type share struct {
	part        *fileWriter
	rows        *rowGroup
	shredder    *shredder          // of a part of resources
	tombstones  *tombstoneShredder // of a part of Deleted
	pending     int64              // bytes of NDJSON in rows
	attachments int64              // rows with one, as attachmentFinder finds them
}

func newLane(w *Writer) *lane {
	l := &lane{w: w, workspace: w.space, shares: map[string]*share{}}
	w.space = nil
	if l.workspace == nil {
		l.workspace = &workspace{encoder: newPageEncoder(w.options.Codec, w.options.Level)}
	}
	if w.options.Each != nil {
		l.each = w.options.Each()
	}
	if w.tombstones {
		l.deletions = new(deletions)
	}
	if len(w.options.AttachmentOrigins) > 0 {
		l.attachments = newAttachmentFinder(w.options.AttachmentOrigins)
	}
	return l
}

// begin prepares the lane for an Append.
func (l *lane) begin(origin *Origin) {
	l.origin, l.read = origin, ReadStats{}
	for _, s := range l.shares { // the caller may have changed what origin points to
		if s.tombstones != nil {
			s.tombstones.origin.last = nil
		} else {
			s.shredder.side.origin.last = nil
		}
	}
}

// add makes rows of a block: of all of it, or until the Writer is full.
func (l *lane) add(ctx context.Context, b *block, all bool) error {
	for turn := 1; ; turn++ {
		if turn%256 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at, err := b.next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			err = l.tooLong(ctx, at, err, strings.NewReader(""))
		case l.deletions != nil:
			err = l.addDeleted(ctx, at)
		default:
			err = l.addResource(ctx, at)
		}
		if err != nil || !all && l.w.full.Load() {
			return err
		}
	}
}

// tooLong puts a line that is too long into quarantine; rest reads what follows at.bytes. If err
// is not a [*DataError], tooLong returns it.
func (l *lane) tooLong(ctx context.Context, at line, err error, rest io.Reader) error {
	var bad *DataError
	if !errors.As(err, &bad) {
		return err
	}
	return l.quarantine(ctx, bad, at, rest)
}

// refuse puts a line into quarantine.
func (l *lane) refuse(ctx context.Context, at line, reason error) error {
	return l.quarantine(ctx, &DataError{Line: at.number, Offset: at.offset, Reason: reason.Error()}, at, nil)
}

// quarantine puts a line into quarantine. rest reads the remainder of a line that is too long; it
// is nil for others.
func (l *lane) quarantine(ctx context.Context, bad *DataError, at line, rest io.Reader) error {
	if l.w.options.Quarantine == nil {
		return bad
	}
	q := Quarantined{DataError: *bad, Bytes: at.bytes, Rest: rest}
	if l.origin != nil {
		q.Origin = *l.origin
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	err := l.w.options.Quarantine(ctx, q)
	if rest != nil && err == nil {
		_, err = io.Copy(io.Discard, rest)
	}
	if err == nil {
		l.read.Quarantined++
	}
	return err
}

// shareOf returns the lane's share of a resource type's part, and makes it if need be.
func (l *lane) shareOf(ctx context.Context, resourceType string) (*share, error) {
	if s := l.shares[resourceType]; s != nil {
		return s, nil
	}
	p, err := l.w.partOf(ctx, resourceType)
	if err != nil {
		return nil, err
	}
	s := &share{part: p, rows: newRowGroup(p.layout, &l.w.options, l.workspace)}
	if resourceType == Deleted {
		s.tombstones = newTombstoneShredder(s.rows)
	} else {
		s.shredder = newShredder(s.rows)
	}
	l.shares[resourceType] = s
	return s, nil
}

// endRow closes a row that was made of that many bytes of NDJSON, and writes a row group if one
// is large enough.
func (l *lane) endRow(s *share, bytes int) error {
	s.rows.endRow(l.encoder)
	s.pending += int64(bytes)
	l.pending += int64(bytes)
	switch limit := l.w.options.RowGroupBytes; {
	case s.pending >= limit, int64(s.rows.finished) >= limit/4:
		return l.flush(s)
	case l.pending >= 2*limit: // many types at once share the memory of two row groups
		for _, other := range l.shares {
			if other.pending > s.pending {
				s = other
			}
		}
		return l.flush(s)
	}
	return nil
}

// flush writes a share's row group, and empties it.
func (l *lane) flush(s *share) error {
	l.pending -= s.pending
	s.pending = 0
	err := s.part.rowGroup(s.rows, l.encoder, false)
	s.rows.reset()
	if err != nil {
		return s.part.failed("writing", err)
	}
	if s.part.full(l.w.options.TargetBytes) {
		l.w.full.Store(true)
	}
	return nil
}

// close writes what is left. groups says how many row groups each part still gets from all lanes.
func (l *lane) close(groups map[*fileWriter]int) error {
	for _, s := range l.shares {
		if err := s.part.rowGroup(s.rows, l.encoder, groups[s.part] == 1); err != nil {
			return s.part.failed("finishing", err)
		}
		// Only then: with many small Writers, columns with more room than they need would be a
		// tenth of the memory.
		if l.w.options.roomy() {
			l.keep(s.rows)
		}
	}
	clear(l.encoder.nullPages)
	return nil
}
