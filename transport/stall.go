package transport

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// unstalled is an answer's body of which a read ends when it brings no byte for limit.
type unstalled struct {
	body    io.ReadCloser
	cancel  context.CancelFunc // of the request: the one thing that ends a read of any kind of connection
	limit   time.Duration
	stalled atomic.Bool
}

// Read implements [io.Reader].
func (u *unstalled) Read(p []byte) (int, error) {
	t := time.AfterFunc(u.limit, func() {
		u.stalled.Store(true)
		u.cancel()
	})
	n, err := u.body.Read(p)
	t.Stop()
	if err != nil && err != io.EOF && u.stalled.Load() {
		return n, fmt.Errorf("no byte came for %v", u.limit)
	}
	return n, wireError(err)
}

// Close implements [io.Closer].
func (u *unstalled) Close() error {
	defer u.cancel()
	return u.body.Close()
}
