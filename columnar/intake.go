package columnar

import (
	"context"
	"io"
	"sync"
)

// intake is one Append: it deals the blocks of a file to the lanes.
//
// Each lane reads its next block itself, one lane at a time, and makes rows of it while others
// read. So a single lane gets the whole file in order and without handovers, every other lane
// starts when there is a core for it, and no goroutine exists only to wait.
type intake struct {
	w      *Writer
	origin *Origin
	others sync.WaitGroup // lanes besides Append's own

	mu    sync.Mutex // held by the lane that reads
	lines *Lines
	idle  []*lane
	read  ReadStats
	err   error // the first; every lane stops at the end of its block
}

// laneBlocks is how many blocks (4 MiB) a Writer must have had for each of its lanes before it
// gets another one. A helper makes rows of as much before it stops. Every lane ends with a row
// group of its own, which costs a page and a footer entry for every column: small parts, and few
// rows, are not worth that.
const laneBlocks = 16

// run is a lane's work in an Append. A helper stops when others need its core; see mayStop.
func (in *intake) run(ctx context.Context, l *lane, helper bool) {
	l.begin(in.origin)
	var err error
	for more := true; more && err == nil && !(helper && in.mayStop(l) && in.w.options.Cores.crowded()); {
		var b block
		if b, more, err = in.next(ctx, l); more {
			err = in.add(ctx, l, b)
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.read.Add(l.read)
	in.idle = append(in.idle, l)
	if err != nil && in.err == nil {
		in.err = err
	}
}

// mayStop reports whether a lane has begun no row group, or one that is worth its cost: 4 MiB,
// which take a lane about 20 ms.
func (in *intake) mayStop(l *lane) bool {
	return l.pending == 0 || l.pending >= int64(in.w.laneBlocks*in.lines.size)
}

// next reads a block for a lane, if there is another. A line that is too long goes to quarantine
// here, because nobody can read on before its end.
func (in *intake) next(ctx context.Context, l *lane) (b block, more bool, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for !in.w.full.Load() && in.err == nil {
		if ctx.Err() != nil {
			return b, false, context.Cause(ctx)
		}
		b, err = in.lines.block(ctx, l.memory)
		l.memory = nil
		if err == nil {
			in.w.blocks++
			in.help(ctx)
			return b, true, nil
		}
		l.memory = b.memory
		if err == io.EOF {
			return b, false, nil
		}
		if err := l.tooLong(ctx, line{b.lines, in.lines.number, b.offset}, err, in.lines.restOfLine(ctx)); err != nil {
			return b, false, err
		}
	}
	return b, false, nil
}

// add has a lane make rows of a block. Once the Writer is full, the rest of the block that was
// read last is left for another Writer; any other block is finished.
func (in *intake) add(ctx context.Context, l *lane, b block) error {
	err := l.add(ctx, &b, false)
	if !in.leave(l, b) && err == nil {
		err = l.add(ctx, &b, true)
		in.leave(l, b)
	}
	return err
}

// leave ends a lane's use of a block; see [Lines.leave].
func (in *intake) leave(l *lane, b block) (ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	l.memory, ok = in.lines.leave(b)
	return ok
}

// help starts another lane if there are more blocks, and a core for it. The caller must hold
// in.mu.
func (in *intake) help(ctx context.Context) {
	w := in.w
	if in.lines.ended() || len(in.idle) == 0 && w.blocks < w.laneBlocks*len(w.lanes) || !w.options.Cores.tryTake() {
		return
	}
	var l *lane
	if n := len(in.idle); n > 0 {
		l, in.idle = in.idle[n-1], in.idle[:n-1]
	} else {
		l = newLane(w)
		w.lanes = append(w.lanes, l)
	}
	in.others.Go(func() {
		defer w.options.Cores.release()
		in.run(ctx, l, true)
	})
}
