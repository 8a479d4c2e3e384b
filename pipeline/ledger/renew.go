package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// keep renews the lease until it is released or lost. Every other write renews it too.
func (l *Lease) keep() {
	defer close(l.kept)
	for {
		due := l.now.Load().sent.Add(l.TTL / 3)
		if sleep(l.alive, time.Until(due)) != nil {
			return
		}
		if time.Since(l.now.Load().sent) >= l.TTL/3 {
			l.renew()
		}
	}
}

// renew tries until it is renewed or lost.
func (l *Lease) renew() {
	ctx := l.alive
	if !l.locked {
		// Others count from when they saw the last write, which was after it was sent. So
		// this process gives up before them, also when the store does not answer at all.
		left := l.TTL - time.Since(l.now.Load().sent)
		if left <= 0 {
			// The process was stopped for long. If nobody has taken the lease since, which
			// the write will tell, it may be kept.
			left = l.TTL / 3
		}
		silent := errors.New("it could not be renewed")
		limited, cancel := context.WithTimeoutCause(ctx, left, silent)
		defer cancel()
		defer context.AfterFunc(limited, func() {
			if time.Since(l.now.Load().sent) >= l.TTL {
				l.lose(fmt.Errorf("it could not be renewed for %v", l.TTL))
			}
		})()
		ctx = limited
	}
	for failed := false; ; failed = true {
		err := l.write(ctx, func(f *Feed) error {
			held := l.held
			f.Lease = &held
			return nil
		})
		switch {
		case err == nil && failed:
			l.Log.Info("the lease is renewed again")
			return
		case err == nil, ctx.Err() != nil:
			return
		case !failed:
			l.Log.Warn("the lease could not be renewed; trying again", "error", err)
		}
		if sleep(ctx, l.TTL/20) != nil {
			return
		}
	}
}
