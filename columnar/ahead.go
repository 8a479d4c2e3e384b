package columnar

// readAhead cuts and scans lines in a goroutine of its own, ahead of who shreds them:
// the two halves of the work take about as long. What comes out is the same, line by
// line, up to the first line that is an error or long; with those, and behind them, the
// caller deals without it.
//
// The goroutine alone has the cutter from start until stop returns, or until next
// returned an error or that there is nothing. All else belongs to the caller.
type readAhead struct {
	cutter  *cutter
	scanner scanner
	stop    chan struct{} // closed to end the goroutine
	full    chan *batch   // closed by the goroutine at its end; nil: there is none
	free    chan *batch

	rest   []*batch // that the last goroutine left
	now    *batch
	at     int      // of now's lines
	behind Position // of the cutter, when it had cut the line that was handed out last
	offset int64    // the same
}

// batch is some lines, with all that they point to.
type batch struct {
	lines []aheadLine
	bytes []byte
	tape  []token
}

// aheadLine is what the cutter returned, and where it stood then.
type aheadLine struct {
	line
	err    error
	behind Position
	offset int64

	start, from int // of its bytes and tokens in the batch, until that is full
}

const (
	// batches is how many there are. To go on while a row group is encoded would take
	// hundreds; these are for neither to wait for each line of the other.
	batches = 4
	// batchBytes is the size from which a batch is handed on.
	batchBytes = 256 << 10
)

// startAhead begins to read ahead, unless that is under way.
func (l *Lines) startAhead() {
	if l.ahead == nil {
		a := &readAhead{cutter: &l.cutter, free: make(chan *batch, batches)}
		for range batches {
			a.free <- &batch{}
		}
		l.ahead = a
	}
	a := l.ahead
	if a.full != nil {
		return
	}
	if !a.some() {
		a.behind, a.offset = l.behind, l.offset
	}
	a.stop, a.full = make(chan struct{}), make(chan *batch, batches)
	go a.run(a.full, a.stop)
}

// stopAhead ends reading ahead; lines that were read stay, for next to return them.
func (l *Lines) stopAhead() {
	if l.ahead == nil || l.ahead.full == nil {
		return
	}
	close(l.ahead.stop)
	for b := range l.ahead.full {
		l.ahead.rest = append(l.ahead.rest, b)
	}
	l.ahead.full = nil
}

// run fills batches. There are no more of them than full has room for.
func (a *readAhead) run(full chan<- *batch, stop <-chan struct{}) {
	defer close(full)
	for {
		select {
		case <-stop:
			return
		case b := <-a.free:
			more := a.fill(b)
			full <- b
			if !more {
				return
			}
		}
	}
}

// fill cuts and scans the lines of a batch. It returns whether to go on.
func (a *readAhead) fill(b *batch) (more bool) {
	b.lines, b.bytes, b.tape = b.lines[:0], b.bytes[:0], b.tape[:0]
	for begin := a.cutter.offset; a.cutter.offset-begin < batchBytes; {
		l, err := a.cutter.cutShort()
		if err == errLong {
			more = false
			break
		}
		if more = err == nil || err == errBlank; err == errBlank {
			continue
		}
		next := aheadLine{line: l, err: err, behind: a.cutter.behind, offset: a.cutter.offset, start: len(b.bytes), from: len(b.tape)}
		b.bytes = append(b.bytes, l.bytes...)
		if err == nil {
			next.scanned, next.fault = true, a.scanner.scan(l.bytes)
			b.tape = append(b.tape, a.scanner.tape...)
		}
		b.lines = append(b.lines, next)
		if !more {
			break
		}
	}
	end, to := len(b.bytes), len(b.tape)
	for i := len(b.lines) - 1; i >= 0; i-- { // now that they do not move any more
		l := &b.lines[i]
		l.bytes, l.tape = b.bytes[l.start:end:end], b.tape[l.from:to:to]
		end, to = l.start, l.from
	}
	return more
}

// some says whether there may be lines that next has not returned.
func (a *readAhead) some() bool {
	return a.full != nil || len(a.rest) > 0 || a.now != nil && a.at < len(a.now.lines)
}

// next returns the next line and error of the cutter. Not ok says that there is none,
// and that the cutter is the caller's.
func (a *readAhead) next() (l line, ok bool, err error) {
	for {
		if a.now != nil && a.at < len(a.now.lines) {
			next := &a.now.lines[a.at]
			a.at++
			a.behind, a.offset = next.behind, next.offset
			if next.err != nil && a.full != nil { // it was the last
				<-a.full
				a.full = nil
			}
			return next.line, true, next.err
		}
		if a.now != nil {
			a.free <- a.now
			a.now = nil
		}
		a.at = 0
		switch {
		case len(a.rest) > 0:
			a.now, a.rest = a.rest[0], a.rest[1:]
		case a.full != nil:
			if a.now, ok = <-a.full; !ok {
				a.full = nil
			}
		default:
			return line{}, false, nil
		}
	}
}
