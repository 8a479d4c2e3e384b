package transport

import (
	"context"
	"time"
)

// Linger returns a context that ends d after ctx does, with ctx's cause: for what is not to be
// cut off when ctx ends, and yet must not hold up who waits for the end. Cancel ends it at once,
// and is to be called when the work is done.
func Linger(ctx context.Context, d time.Duration) (longer context.Context, cancel context.CancelFunc) {
	longer, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if Sleep(longer, d) == nil {
			end(context.Cause(ctx))
		}
	})
	return longer, func() {
		stop()
		end(nil)
	}
}
