package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"
)

// durableTime is how long a write may take that canceling ctx does not stop.
const durableTime = 30 * time.Second

// windDown returns a context for what must be done even if ctx has ended: recording what counts,
// and throwing away what does not. It ends after durableTime, in case the store is silent: a
// process that was told to end is killed if it does not.
func windDown(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), durableTime)
}

// cleanUp calls abort, which is stopped by durableTime, but not by the end of ctx.
func cleanUp(ctx context.Context, abort func(context.Context) error) error {
	stop, cancel := windDown(ctx)
	defer cancel()
	return abort(stop)
}

// leftovers collects what the failed goroutines of a group have half staged. It is thrown away
// when all of them have ended: the first failure must be returned at once, so that it becomes
// the group's and the others end. The zero value is empty.
type leftovers struct {
	mu     sync.Mutex
	aborts []func(context.Context) error
}

// keep returns err. If err is not nil, it keeps abort for later.
func (l *leftovers) keep(err error, abort func(context.Context) error) error {
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.aborts = append(l.aborts, abort)
	}
	return err
}

// throwAway calls all aborts, concurrently.
func (l *leftovers) throwAway(ctx context.Context) error {
	errs := make([]error, len(l.aborts))
	var all sync.WaitGroup
	for i, abort := range l.aborts {
		all.Go(func() { errs[i] = abort(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}
