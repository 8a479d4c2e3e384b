package pipeline

import (
	"context"
	"fmt"
	"io"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
)

// merge copies the rows of parts of one type into as few parts as possible.
func (x *compaction) merge(ctx context.Context, resourceType string, parts []lake.Part) error {
	w := &worker{run: x.run, export: x.journal.exports[0], queue: newQueue(), kind: kindOf(resourceType)}
	return x.left.keep(func() error {
		for _, p := range parts {
			if err := x.mergePart(ctx, w, p); err != nil {
				return fmt.Errorf("compacting %s: %w", p.Key, err)
			}
		}
		if err := w.commit(ctx, nil); err != nil {
			return err
		}
		return w.committed()
	}(), w.abort)
}

func (x *compaction) mergePart(ctx context.Context, w *worker, p lake.Part) error {
	f, err := x.lake().OpenPart(ctx, p.Key)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := p.Check(f); err != nil {
		return err
	}
	r, err := columnar.NewReader(f, f.Size())
	if err != nil {
		return err
	}
	defer r.Close()
	for rows := int64(0); ; {
		if w.writer == nil {
			w.openWriter(new(bulk.Manifest))
		}
		n, err := w.writer.Copy(ctx, r)
		if err != nil {
			return err
		}
		if rows += n; w.writer.Full() {
			if err := w.commit(ctx, nil); err != nil {
				return err
			}
			continue
		}
		if rows != p.Rows {
			return fmt.Errorf("it has %d rows, but was published with %d", rows, p.Rows)
		}
		return nil
	}
}

// copyWhole copies a part byte for byte, because it is large enough or has none to merge with.
func (x *compaction) copyWhole(ctx context.Context, p lake.Part) error {
	f, err := x.lake().OpenPart(ctx, p.Key)
	if err != nil {
		return err
	}
	defer f.Close()
	of := kindOf(p.Type)
	staging, err := x.stage(ctx, x.key(p.Type))
	if err != nil {
		return err
	}
	part := newOpenPart(staging)
	_, err = io.Copy(part, io.NewSectionReader(f, 0, f.Size()))
	if err == nil && part.sha256() != p.SHA256 {
		err = &lake.PartChangedError{Key: p.Key, Why: "its SHA-256 has changed since it was published"}
	}
	if err != nil {
		return x.left.keep(err, part.Abort)
	}
	receipt, err := part.Finish(ctx)
	if err != nil {
		return x.left.keep(err, part.Abort)
	}
	return x.journal.add(ctx, entry{Staged: &staged{Parts: []stagedPart{{Receipt: receipt, Type: p.Type, Of: of, Rows: p.Rows, SHA256: p.SHA256, FullFooter: p.FullFooter}}}})
}

// kindOf returns the kind of the files that the rows of a part come from.
func kindOf(resourceType string) fileKind {
	return fileKind{Type: resourceType, Deleted: resourceType == columnar.Deleted}
}
