package transport

import (
	"context"
	"time"
)

// Linger returns a context that ends d after ctx does, with ctx's cause. It is for work that the
// end of ctx must not cut off, but that must not hold up shutdown either. cancel ends the context
// at once; call it when the work is done.
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
