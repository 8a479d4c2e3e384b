package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// keep renews the lease until it is released or lost. Every other write of the feed's object
// renews it too.
func (l *Lease) keep() {
	defer close(l.kept)
	for {
		due := l.now.Load().sent.Add(l.opts.TTL / 3)
		if sleep(l.alive, time.Until(due)) != nil {
			return
		}
		if time.Since(l.now.Load().sent) >= l.opts.TTL/3 {
			l.renew()
		}
	}
}

// renew tries to renew the lease until that succeeds or the lease is lost.
func (l *Lease) renew() {
	ctx := l.alive
	if !l.locked {
		limited, cancel := context.WithTimeout(ctx, l.left())
		defer cancel()
		// Even if the store does not answer at all.
		defer context.AfterFunc(limited, l.expire)()
		defer l.expire()
		ctx = limited
	}
	for failed := false; ; failed = true {
		err := l.tryRenew(ctx)
		switch {
		case err == nil && failed:
			l.refused.Store(nil)
			l.opts.Log.Info("renewed the lease")
			return
		case err == nil, ctx.Err() != nil:
			return
		case !failed:
			l.opts.Log.Warn("could not renew the lease; trying again", "error", err)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			l.refused.Store(&err)
		}
		if sleep(ctx, l.opts.TTL/20) != nil {
			return
		}
	}
}

// tryRenew tries to renew the lease, for a part of the time that is left.
func (l *Lease) tryRenew(ctx context.Context) error {
	ctx, cancel := l.attemptContext(ctx)
	defer cancel()
	return l.write(ctx, func(f *Feed) error {
		l.sign(f)
		return nil
	})
}

// left returns how long there is to renew the lease. Others count a TTL from when they saw the
// last write, which is after it was sent, so this process gives up before they take over.
func (l *Lease) left() time.Duration {
	left := l.opts.TTL - time.Since(l.now.Load().sent)
	if left <= 0 {
		// The process was stopped for a long time. If nobody has taken the lease since, which
		// the write will tell, it may be kept.
		left = l.opts.TTL / 3
	}
	return left
}

// expire loses the lease if it was not renewed in time.
func (l *Lease) expire() {
	if time.Since(l.now.Load().sent) >= l.opts.TTL {
		why := fmt.Errorf("%w for %v", ErrNotRenewed, l.opts.TTL)
		if refused := l.refused.Load(); refused != nil { // the store did answer
			why = fmt.Errorf("%w: %w", why, *refused)
		}
		_ = l.lose(why)
	}
}

// sleep waits for d, or until ctx ends; then it returns ctx's cause.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
