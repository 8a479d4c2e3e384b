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

// Lease is the right to work on a feed. It renews itself until it is released or lost; the
// caller must release it. It is safe for concurrent use.
type Lease struct {
	*acquisition
	held       Held
	generation int64

	ctx context.Context
	end context.CancelCauseFunc

	// alive ends when ctx does, except that it outlives the caller's context: the lease is kept
	// while the run winds down.
	alive context.Context
	kill  context.CancelCauseFunc

	now      atomic.Pointer[state]
	turn     chan struct{} // holds a token while a goroutine writes
	doubtful bool          // guarded by turn: an earlier write may have come through, or may yet

	refused    atomic.Pointer[error] // why the store last refused to renew it; nil once it is renewed
	kept       chan struct{}         // closed when renewing has ended
	release    sync.Once
	releaseErr error

	mu      sync.Mutex
	runs    map[string]*Run // those that were opened, by id
	failure *Failure        // to be recorded by Release, or nil
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

// Context returns a context derived from Acquire's. It also ends when the lease is released, and
// when it is lost, with a cause that wraps [ErrLost] and says who has it now. All work on the
// feed must be done under it.
func (l *Lease) Context() context.Context { return l.ctx }

// Generation returns the lease's generation, which is higher than that of any earlier lease of
// the feed.
func (l *Lease) Generation() int64 { return l.generation }

// Feed returns the feed as this process last wrote it. The copy is the caller's own.
func (l *Lease) Feed() Feed { return l.now.Load().feed.clone() }

// Update changes the feed in one compare-and-swap. fn gets a copy of the current feed and
// changes it; an error from fn ends the update and is returned. Version, name, source, purpose,
// generation, sequence and lease stay the lease's.
//
// If the lease was lost, nothing was written and the error wraps [ErrLost]. After an error of
// the store or of ctx, the change may or may not have been written; the next Update finds out
// first, and its fn sees which. So fn must look at what is there before it adds to it. It may be
// called more than once.
func (l *Lease) Update(ctx context.Context, fn func(*Feed) error) error {
	ctx, cancel := l.under(ctx)
	defer cancel()
	return l.write(ctx, func(f *Feed) error {
		err := fn(f)
		l.sign(f)
		return err
	})
}

// sign marks a feed as held by this lease.
func (l *Lease) sign(f *Feed) {
	held := l.held
	f.Lease, f.Generation = &held, l.generation
}

// Release lets go of the lease and ends its context. The same write records what [Lease.Fail]
// was told. If the lease was lost, there is nothing to let go of, and no error. After an error of
// the store or of ctx, others have to wait for a TTL, unless the store is a [Locker]. Releasing
// again does nothing and returns the same.
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
			l.addFailure(f)
			return nil
		})
		if err != nil && !errors.Is(err, ErrLost) {
			l.releaseErr = fmt.Errorf("releasing the lease of feed %s: %w", l.opts.Feed, err)
		}
	})
	<-l.kept
	return l.releaseErr
}

// lost returns why the lease was lost, nil if it was not.
func (l *Lease) lost() error {
	if err := context.Cause(l.alive); errors.Is(err, ErrLost) {
		return err
	}
	return nil
}

// lose ends everything that is done under the lease, and returns the error that it ends with.
func (l *Lease) lose(why error) error {
	err := fmt.Errorf("feed %s: %w: %w", l.opts.Feed, ErrLost, why)
	l.kill(err)
	l.end(err)
	return err
}

// ensureHeld makes sure that the lease is held. It surely is while the last write of the feed's
// object is younger than a TTL. If that write is older, this process or its machine was stopped
// and may have woken up just now; the next write tells whether another process has taken the
// lease since. While a machine sleeps, only the wall clock advances, so both clocks are checked.
func (l *Lease) ensureHeld(ctx context.Context) error {
	sent := l.now.Load().sent
	if time.Since(sent) < l.opts.TTL && time.Since(sent.Round(0)) < l.opts.TTL {
		return context.Cause(ctx)
	}
	return l.Check(ctx)
}

// Check makes sure that the lease is held, by a write of the feed's object that changes nothing
// but its Sequence. Errors are those of [Lease.Update].
func (l *Lease) Check(ctx context.Context) error {
	return l.Update(ctx, func(*Feed) error { return nil })
}

// under returns a context derived from ctx that also ends when the lease is lost or released.
func (l *Lease) under(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.alive, func() { cancel(context.Cause(l.alive)) })
	if err := context.Cause(l.alive); err != nil {
		cancel(err) // now, not when AfterFunc's goroutine gets to it
	}
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// write is the only place that changes the feed's object while the lease is held.
func (l *Lease) write(ctx context.Context, change func(*Feed) error) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var tried attempts
	for {
		// One silent connection must not take all the time there is.
		limited, cancel := l.attemptContext(ctx)
		err := l.writeWithin(limited, change, &tried)
		silent := err != nil && limited.Err() != nil && !errors.Is(err, ErrLost)
		cancel()
		switch {
		case !silent:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx) // not the attempt's error: its time may have been up before
		}
	}
}

// attemptContext returns a context for one attempt to write the feed's object. It is limited if
// the lease has to be renewed in time, which it does not under a [Locker].
func (l *Lease) attemptContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.locked {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, l.opts.TTL/6)
}

// attempts are what one write has sent. Any of them may come through, even after waiting for its
// answer was given up: then the change is made, and must not be made again. No two are equal,
// and only one can come through, since each replaces only the version that it was made from.
type attempts []state

// find returns the attempt with this content, nil if there is none.
func (a attempts) find(content []byte) *state {
	for i := range a {
		if bytes.Equal(a[i].content, content) {
			return &a[i]
		}
	}
	return nil
}

// writeWithin is write, while holding the turn. If ctx ends, the next writeWithin finds out what
// came of the attempts.
func (l *Lease) writeWithin(ctx context.Context, change func(*Feed) error, tried *attempts) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if l.doubtful {
			if err := l.reconcile(ctx, *tried); err != nil {
				return err
			}
			if tried.find(l.now.Load().content) != nil {
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
		case tried.find(there.content) != nil:
			return nil // only the answer was lost
		case settled != nil || !errors.Is(err, sink.ErrChanged):
			return err
		case there == now:
			return fmt.Errorf("changing feed %s: the store contradicts itself: %w, but the object is the same", l.opts.Feed, err)
		}
		// An earlier write has come through, after its answer was given up.
	}
}

// reconcile finds out what is there after a write with an unknown outcome. If this lease has
// written it, it becomes the current state. If another has, the lease is lost.
func (l *Lease) reconcile(ctx context.Context, tried attempts) error {
	there, err := l.load(ctx)
	if err != nil {
		return err
	}
	now := l.now.Load()
	switch {
	case there.content == nil:
		return l.lose(fmt.Errorf("its object is missing: %w", fs.ErrNotExist))
	case there.feed.Generation != l.generation || there.feed.Lease != nil && there.feed.Lease.Holder != l.held.Holder:
		return l.lose(taker(there.feed))
	case tried.find(there.content) != nil:
		there.sent = tried.find(there.content).sent
		l.now.Store(&there)
	case there.version != now.version:
		there.sent = now.sent // it was sent some time after that
		l.now.Store(&there)
	}
	l.doubtful = false
	return nil
}

// taker returns an error that says who has taken the lease.
func taker(f Feed) error {
	if f.Lease == nil {
		return fmt.Errorf("another process took it in generation %d and has ended", f.Generation)
	}
	return fmt.Errorf("%s has held it since %s", f.Lease.Holder, f.Lease.Since.Format(time.RFC3339))
}
