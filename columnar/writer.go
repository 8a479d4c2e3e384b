package columnar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Writer makes Parquet parts from NDJSON, one part for each resource type that it meets: servers
// do mix types in a file. It belongs to one goroutine, and may use others while Append or Close
// runs; see Options.Cores.
//
// After an error from Append, Copy or Close, the parts are unfinished and must be thrown away: each
// io.Writer has received anything from nothing to a whole file. The error stays until Reset:
// Append, Copy and Close do nothing but return it.
type Writer struct {
	options    Options
	err        error // what is wrong with the options, errClosed, or see failed
	tombstones bool
	lanes      []*lane    // the first is that of Append's own goroutine
	blocks     int        // how many the lanes have had
	laneBlocks int        // constant except in tests
	space      *workspace // the first lane's, from Close to Reset; nil for none
	full       atomic.Bool

	mu    sync.Mutex // held while the caller's Create or Quarantine runs
	parts map[string]*fileWriter
}

// NewWriter returns a Writer without parts.
func NewWriter(o Options) *Writer {
	w := &Writer{laneBlocks: laneBlocks}
	w.reset(o, false)
	return w
}

// Reset turns a Writer, of tombstones too, into what NewWriter returns, but in the memory it
// already has. A Writer that is not closed forgets its parts, which stay unfinished, and a Writer
// that has failed forgets its error.
func (w *Writer) Reset(o Options) { w.reset(o, false) }

func (w *Writer) reset(o Options, tombstones bool) {
	o.setDefaults()
	if o.Codec != w.options.Codec || o.Level != w.options.Level {
		w.space = nil // its encoder is for another codec or level
	}
	w.options, w.tombstones = o, tombstones
	w.lanes, w.blocks, w.parts = nil, 0, map[string]*fileWriter{}
	w.full.Store(false)
	if w.err = o.check(); w.err == nil {
		w.lanes = []*lane{newLane(w)}
	}
}

// Append makes rows of lines until they end or a part is full; [Writer.Full] tells which. What is
// left in lines can go to another Writer. origin goes into the rows' column __origin, unless it is
// nil.
//
// Errors are those of the reader, of Create, Quarantine or a part, or a [*DataError]; the
// statistics cover what came before. Any error is final: Close returns it too, and no parts.
//
// Append checks ctx between Reads, every few hundred lines, and at its end: once ctx has ended, it
// returns [context.Cause], never nil. It cannot interrupt a Read that blocks. The reader's owner
// must do that, for example by closing the reader when ctx ends. All of Append's goroutines have
// ended when it returns.
func (w *Writer) Append(ctx context.Context, lines *Lines, origin *Origin) (ReadStats, error) {
	if w.err != nil {
		return ReadStats{}, w.err
	}
	in := &intake{w: w, origin: origin, idle: slices.Clone(w.lanes[1:]), lines: lines}
	in.run(ctx, w.lanes[0], false)
	in.others.Wait()
	in.read.Bytes = lines.since()
	if in.err == nil && ctx.Err() != nil { // at the end of lines, or when a part is full
		in.err = context.Cause(ctx)
	}
	return in.read, w.failed(in.err)
}

// failed makes err, unless it is nil, the error of all calls until Reset. It returns err.
func (w *Writer) failed(err error) error {
	if err != nil {
		w.err = fmt.Errorf("the parts are unfinished: %w", err)
	}
	return err
}

// Full reports whether a part has reached Options.TargetBytes, or a footer as large as readers
// accept, so that the Writer should be closed.
func (w *Writer) Full() bool { return w.full.Load() }

// Close finishes the parts and returns their statistics, ordered by type. If Append, Copy or an
// earlier Close has failed, it returns that error and no statistics. The Writer keeps nothing of
// the parts. After Close, only Full and Reset make sense: Append, Copy and Close return an error.
func (w *Writer) Close() ([]PartStats, error) {
	defer func() { w.lanes, w.parts = nil, nil }()
	if w.err != nil {
		return nil, w.err
	}
	stats, err := w.finish()
	if err != nil {
		return nil, w.failed(err)
	}
	w.err = errClosed
	return stats, nil
}

var errClosed = errors.New("columnar: the Writer is closed")

func (w *Writer) finish() ([]PartStats, error) {
	last := map[*fileWriter]int{} // row groups still to come
	for _, l := range w.lanes {
		for _, s := range l.shares {
			if s.rows.rows > 0 {
				last[s.part]++
			}
		}
	}
	var group errgroup.Group
	for _, l := range w.lanes {
		group.Go(func() error { return l.close(last) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var stats []PartStats
	for _, p := range w.parts {
		if err := p.close(); err != nil {
			return nil, p.failed("finishing", err)
		}
		stat := PartStats{ResourceType: p.layout.ResourceType, Rows: p.rows, Bytes: p.at, FullFooter: p.fullFooter()}
		for _, l := range w.lanes {
			if s := l.shares[stat.ResourceType]; s != nil {
				stat.Attachments += s.attachments
			}
		}
		stats = append(stats, stat)
	}
	slices.SortFunc(stats, func(a, b PartStats) int { return cmp.Compare(a.ResourceType, b.ResourceType) })
	if len(w.lanes) > 0 && w.lanes[0].bytes() <= maxKept {
		w.space = w.lanes[0].workspace // other lanes help now and then, and need not keep theirs
	}
	return stats, nil
}

// partOf returns the part of a resource type, or of [Deleted]. It creates the part if need be.
func (w *Writer) partOf(ctx context.Context, resourceType string) (*fileWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.parts[resourceType]; p != nil {
		return p, nil
	}
	if len(w.parts) >= maxParts {
		return nil, errTypes
	}
	out, err := w.options.Create(ctx, resourceType)
	if err != nil {
		return nil, err
	}
	if out == nil {
		return nil, fmt.Errorf("columnar: Options.Create returned neither a part of %s nor an error", resourceType)
	}
	p := newFileWriter(out, LayoutOf(resourceType), &w.options)
	w.parts[resourceType] = p
	return p, nil
}
