package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"fhirkiln/sink"
)

// Lease is the right to work at a feed. It renews itself until it is released or lost;
// the caller must release it. Safe for concurrent use.
type Lease struct {
	*acquisition
	held       Held
	generation int64

	ctx context.Context
	end context.CancelCauseFunc

	// alive ends as ctx does, but not with the caller's: the lease is kept while the run
	// winds down.
	alive context.Context
	kill  context.CancelCauseFunc

	now      atomic.Pointer[state]
	turn     chan struct{} // holds a token while somebody writes
	doubtful bool          // under turn: an earlier write may have come through, or may yet

	refused    atomic.Pointer[error] // why the store has last not renewed it, nil if it has
	kept       chan struct{}         // closed when renewing has ended
	release    sync.Once
	releaseErr error

	mu   sync.Mutex
	runs map[string]*Run // those that were opened
}

var errReleased = errors.New("the lease was released")

func newLease(ctx context.Context, a *acquisition, taken state) *Lease {
	l := &Lease{acquisition: a, held: *taken.feed.Lease, generation: taken.feed.Generation,
		turn: make(chan struct{}, 1), kept: make(chan struct{}), runs: map[string]*Run{}}
	l.ctx, l.end = context.WithCancelCause(ctx)
	l.alive, l.kill = context.WithCancelCause(context.WithoutCancel(ctx))
	l.now.Store(&taken)
	go l.keep()
	return l
}

// Context is derived from Acquire's. It also ends when the lease is lost, with a cause
// that wraps [ErrLost] and says who has it now, and when it is released. All work at the
// feed is to be done under it.
func (l *Lease) Context() context.Context { return l.ctx }

// Generation is the lease's, higher than that of any lease of the feed before it.
func (l *Lease) Generation() int64 { return l.generation }

// Feed is the feed as this process last wrote it, a copy of the caller's own.
func (l *Lease) Feed() Feed { return l.now.Load().feed.clone() }

// Update changes the feed in one compare and swap. fn gets a copy of the feed as it is
// and changes that; an error of fn ends the update and is returned. Version, name,
// source, purpose, generation, sequence and lease stay the lease's.
//
// If the lease was lost, nothing was written and the error wraps [ErrLost]. After an
// error of the store or of ctx, the change may have been written or not; the next Update
// finds out first, and its fn sees which. So fn looks at what is there before it adds to
// it, and may be called more than once.
func (l *Lease) Update(ctx context.Context, fn func(*Feed) error) error {
	ctx, cancel := l.under(ctx)
	defer cancel()
	return l.write(ctx, func(f *Feed) error {
		err := fn(f)
		l.sign(f)
		return err
	})
}

// sign makes a feed this lease's.
func (l *Lease) sign(f *Feed) {
	held := l.held
	f.Lease, f.Generation = &held, l.generation
}

// Release lets go of the lease and ends its context. When the lease was lost there is
// nothing to let go of, and no error. After an error of the store or of ctx, others
// have to wait for a TTL, unless the store is a [Locker]. Releasing again does nothing
// and returns the same.
func (l *Lease) Release(ctx context.Context) error {
	l.release.Do(func() {
		l.kill(errReleased)
		l.end(errReleased)
		defer l.unlock()
		if l.lost() != nil {
			return
		}
		err := l.write(ctx, func(f *Feed) error {
			f.Lease = nil
			return nil
		})
		if err != nil && !errors.Is(err, ErrLost) {
			l.releaseErr = fmt.Errorf("releasing the lease of the feed %s: %w", l.opts.Feed, err)
		}
	})
	<-l.kept
	return l.releaseErr
}

// lost is nil as long as the lease is not lost.
func (l *Lease) lost() error {
	if err := context.Cause(l.alive); errors.Is(err, ErrLost) {
		return err
	}
	return nil
}

// lose ends everything that is done under the lease.
func (l *Lease) lose(why error) error {
	err := fmt.Errorf("the feed %s: %w: %w", l.opts.Feed, ErrLost, why)
	l.kill(err)
	l.end(err)
	return err
}

// certain makes sure that the lease is held. That is known as long as the last write of
// the feed's object is younger than a TTL. If it is older, this process was stopped, or its
// machine, and may have been woken at this moment: whether another has taken the lease
// since, the next write tells. While a machine sleeps, only the wall's clock goes on.
func (l *Lease) certain(ctx context.Context) error {
	sent := l.now.Load().sent
	if time.Since(sent) < l.opts.TTL && time.Since(sent.Round(0)) < l.opts.TTL {
		return context.Cause(ctx)
	}
	return l.Update(ctx, func(*Feed) error { return nil })
}

// under is ctx that also ends when the lease is lost or released.
func (l *Lease) under(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.alive, func() { cancel(context.Cause(l.alive)) })
	if err := context.Cause(l.alive); err != nil {
		cancel(err) // now, not when AfterFunc's goroutine comes to it
	}
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// write is the one place that changes the object of a lease that is held.
func (l *Lease) write(ctx context.Context, change func(*Feed) error) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var tried attempts
	for {
		// One connection that falls silent is not to take all the time that there is.
		limited, cancel := l.soon(ctx)
		err := l.writeWithin(limited, change, &tried)
		silent := err != nil && limited.Err() != nil && !errors.Is(err, ErrLost)
		cancel()
		switch {
		case !silent:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx) // and not that of the attempt, whose time may have been over before
		}
	}
}

// soon is a context for one attempt at the object of a lease that has to be renewed.
func (l *Lease) soon(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.locked {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, l.opts.TTL/6)
}

// attempts are what one write has sent. Any of them may come through, also after its answer
// was given up: then the change is made, and is not to be made again. No two are equal, and only
// one can come through, since each is sent for the version before.
type attempts []state

// of is the attempt whose content an object has, nil for none.
func (a attempts) of(content []byte) *state {
	for i := range a {
		if bytes.Equal(a[i].content, content) {
			return &a[i]
		}
	}
	return nil
}

// writeWithin is write, under turn. What came of what it has tried when ctx has ended, the next
// one finds out.
func (l *Lease) writeWithin(ctx context.Context, change func(*Feed) error, tried *attempts) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if l.doubtful {
			if err := l.reconcile(ctx, *tried); err != nil {
				return err
			}
			if tried.of(l.now.Load().content) != nil {
				return nil
			}
		}
		now := l.now.Load()
		next, err := now.next(change)
		if err != nil {
			return err
		}
		next.sent = time.Now()
		*tried = append(*tried, next)
		next.version, err = l.store.Swap(ctx, FeedKey(l.opts.Feed), next.content, now.version)
		if err == nil {
			l.now.Store(&next)
			return nil
		}
		l.doubtful = true
		settled := l.reconcile(ctx, *tried)
		there := l.now.Load()
		switch {
		case errors.Is(settled, ErrLost):
			return settled
		case tried.of(there.content) != nil:
			return nil // only the answer was lost
		case settled != nil || !errors.Is(err, sink.ErrChanged):
			return err
		case there == now:
			return fmt.Errorf("changing the feed %s: the store is at odds with itself: %w, though it is the same", l.opts.Feed, err)
		}
		// An earlier write has come through, after its answer was given up.
	}
}

// reconcile finds out what is there after a write whose end is not known. What this lease
// has written is taken as it is; what another has, loses the lease.
func (l *Lease) reconcile(ctx context.Context, tried attempts) error {
	there, err := l.load(ctx)
	if err != nil {
		return err
	}
	now := l.now.Load()
	switch {
	case there.content == nil:
		return l.lose(fmt.Errorf("its object is not there: %w", fs.ErrNotExist))
	case there.feed.Generation != l.generation || there.feed.Lease != nil && there.feed.Lease.Holder != l.held.Holder:
		return l.lose(taker(there.feed))
	case tried.of(there.content) != nil:
		there.sent = tried.of(there.content).sent
		l.now.Store(&there)
	case there.version != now.version:
		there.sent = now.sent // some time after that
		l.now.Store(&there)
	}
	l.doubtful = false
	return nil
}

// taker says who has taken a lease.
func taker(f Feed) error {
	if f.Lease == nil {
		return fmt.Errorf("another process took it in generation %d, and has ended", f.Generation)
	}
	return fmt.Errorf("%s has it since %s", f.Lease.Holder, f.Lease.Since.Format(time.RFC3339))
}
