package pipeline

import (
	"context"
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
