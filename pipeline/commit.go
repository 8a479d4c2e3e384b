package pipeline

import (
	"context"
	"errors"

	"fhirkiln/columnar"
)

// commitment is what a worker has converted, on its way to durable storage and into the
// ledger. It counts as a whole once a ledger entry says so, and not at all before.
type commitment struct {
	journal *journal
	entry   *staged
	kind    fileKind
	open    map[string]*openPart // by resource type
	stats   []columnar.PartStats // of the open parts
	bad     *quarantine

	done chan struct{} // closed when err is set
	err  error
}

// commit closes the open parts. In the background it then makes them durable and records
// them with their files, so that no core waits for the store. If the current file continues
// in the next parts, here is how far these parts hold it; otherwise here is nil.
//
// A worker's commits are recorded in order. The error of one is returned by the next commit
// or by committed.
func (w *worker) commit(ctx context.Context, here *place) error {
	c := &commitment{journal: w.journal, kind: w.kind, done: make(chan struct{}),
		entry: &staged{Export: w.export.index, Files: w.files}}
	if here != nil {
		at := *here // a copy, since the worker moves here on
		c.entry.Open = &at
	}
	if w.writer != nil {
		var err error
		if c.stats, err = w.writer.Close(); err != nil {
			return err
		}
		w.closed = w.writer
	}
	if err := w.committed(); err != nil {
		return err
	}
	c.open, c.bad = w.open, w.bad
	w.writer, w.open, w.bad, w.files = nil, nil, nil, nil
	w.last = c
	go func() {
		defer close(c.done)
		c.err = c.finish(ctx)
	}()
	return nil
}

// committed waits until all that the worker has committed is in the ledger.
func (w *worker) committed() error {
	if w.last == nil {
		return nil
	}
	<-w.last.done
	return w.last.err
}

func (c *commitment) finish(ctx context.Context) error {
	for _, p := range c.stats {
		part := c.open[p.ResourceType]
		receipt, err := part.Finish(ctx)
		if err != nil {
			return err
		}
		c.entry.Parts = append(c.entry.Parts, stagedPart{Receipt: receipt, Type: p.ResourceType, Of: c.kind, Rows: p.Rows,
			SHA256: part.sha256(), Attachments: p.Attachments, FullFooter: p.FullFooter})
	}
	if c.bad != nil {
		receipt, err := c.bad.Finish(ctx)
		if err != nil {
			return err
		}
		c.entry.Quarantine = append(c.entry.Quarantine, receipt)
	}
	if len(c.entry.Files) == 0 && len(c.entry.Parts) == 0 && c.entry.Open == nil {
		return nil
	}
	return c.journal.add(ctx, entry{Staged: c.entry})
}

// abort throws away whatever is not committed.
func (w *worker) abort(ctx context.Context) error {
	var failed error
	throwAway := func(open map[string]*openPart, bad *quarantine) {
		for _, p := range open {
			failed = errors.Join(failed, p.Abort(ctx))
		}
		if bad != nil {
			failed = errors.Join(failed, bad.Abort(ctx))
		}
	}
	if w.committed() != nil {
		throwAway(w.last.open, w.last.bad)
	}
	throwAway(w.open, w.bad)
	return failed
}
