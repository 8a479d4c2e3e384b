package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"
)

// durableTime is how long a write may take that a canceled ctx does not stop.
const durableTime = 30 * time.Second

// windDown is a context for what is to be done also when ctx has ended: to write down what
// counts, and to throw away what does not. A store that is silent gets no more than durableTime
// of it, since a process that was told to end is killed if it does not.
func windDown(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), durableTime)
}

// cleanUp calls abort, which ctx's end does not stop, and durableTime does.
func cleanUp(ctx context.Context, abort func(context.Context) error) error {
	stop, cancel := windDown(ctx)
	defer cancel()
	return abort(stop)
}

// leftovers are what goroutines of a group have half staged that have failed. It is thrown away
// when all have ended: the first one to fail is to be heard at once, so that the others end, and
// its failure is the group's. The zero value is empty.
type leftovers struct {
	mu     sync.Mutex
	aborts []func(context.Context) error
}

// of returns err. If it is not nil, abort is for later.
func (l *leftovers) of(err error, abort func(context.Context) error) error {
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.aborts = append(l.aborts, abort)
	}
	return err
}

// throwAway calls all aborts, side by side.
func (l *leftovers) throwAway(ctx context.Context) error {
	errs := make([]error, len(l.aborts))
	var all sync.WaitGroup
	for i, abort := range l.aborts {
		all.Go(func() { errs[i] = abort(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}
