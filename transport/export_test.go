package transport

import (
	"io"
	"time"
)

// Watched is a body as the clients of [New] give it.
func Watched(body io.ReadCloser, silence, pace time.Duration) io.ReadCloser {
	return &watchedBody{body: body, cancel: func() {}, silence: silence, pace: pace}
}
