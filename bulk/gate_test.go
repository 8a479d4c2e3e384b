package bulk_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/bulk"
)

// crowd is a client with more readers than a host accepts at once, and that host, which answers
// when it is told to.
type crowd struct {
	t       *testing.T
	answers chan int // status codes
	mu      sync.Mutex
	asked   int // requests that wait for a response
}

// RoundTrip implements [http.RoundTripper].
func (c *crowd) RoundTrip(r *http.Request) (*http.Response, error) {
	c.count(1)
	defer c.count(-1)
	select {
	case status := <-c.answers:
		return &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Retry-After": {"30"}},
			Body: io.NopCloser(strings.NewReader("{}\n")), ContentLength: -1, Request: r}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func (c *crowd) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked += n
}

// want checks how many requests are in flight once nothing moves.
func (c *crowd) want(n int, when string) {
	c.t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked != n {
		c.t.Errorf("%s: %d requests are under way, want %d", when, c.asked, n)
	}
}

// answer answers all requests that are in flight now.
func (c *crowd) answer(status int) {
	synctest.Wait()
	time.Sleep(time.Second) // or they would be answered at the moment they asked
	c.mu.Lock()
	n := c.asked
	c.mu.Unlock()
	for range n {
		c.answers <- status
	}
}

// A host has 16 files open to begin with, one more for each round that went well, half as many
// after a 429 or 503, and never fewer than one. While it asks for a pause, it gets no requests.
func TestFilesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, answers: make(chan int)}
		client, err := bulk.New(bulk.Options{Base: "https://h.example", HTTP: &http.Client{Transport: c}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for range 200 {
			readers.Go(func() {
				_, _, err := read(ctx, client, &bulk.Manifest{}, bulk.File{Type: "Patient", URL: "https://h.example/f"})
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			})
		}
		c.want(16, "at first")
		c.answer(200)
		c.want(17, "after a good round")
		c.answer(200)
		c.want(18, "after another")
		for _, round := range []struct {
			status, then int
		}{{429, 9}, {503, 5}, {429, 3}, {429, 2}, {503, 1}, {503, 1}, {200, 2}, {200, 3}} {
			c.answer(round.status)
			if round.status != 200 {
				time.Sleep(29 * time.Second)
				c.want(0, "in the pause that the host asked for")
				time.Sleep(2 * time.Minute) // until its end, and through the pauses of single files
			}
			c.want(round.then, http.StatusText(round.status))
		}
		cancel()
		readers.Wait()
	})
}

// A file keeps its place until it is closed, not just until its response begins.
func TestFilesAtOnceAreOpenFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, answers: make(chan int)}
		client, err := bulk.New(bulk.Options{Base: "https://h.example", HTTP: &http.Client{Transport: c}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		opened := make(chan *bulk.Stream, 40)
		var openers sync.WaitGroup
		for range 40 {
			openers.Go(func() {
				if s, err := client.Open(ctx, &bulk.Manifest{}, bulk.File{Type: "Patient", URL: "https://h.example/f"}); err == nil {
					opened <- s
				}
			})
		}
		c.answer(200)
		c.want(0, "16 files are open")
		for range 5 {
			(<-opened).Close()
		}
		c.want(6, "five are closed, and the round went well")
		cancel()
		openers.Wait()
		close(opened)
		for s := range opened {
			s.Close()
		}
	})
}

// A caller who waits for a place, or for the end of a pause, may give up, and then takes no
// place.
func TestWhoWaitsForAHostMayLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, answers: make(chan int)}
		client, err := bulk.New(bulk.Options{Base: "https://h.example", HTTP: &http.Client{Transport: c}})
		if err != nil {
			t.Fatal(err)
		}
		all, end := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		open := func(ctx context.Context) error {
			_, _, err := read(ctx, client, &bulk.Manifest{}, bulk.File{Type: "Patient", URL: "https://h.example/f"})
			return err
		}
		for range 16 {
			readers.Go(func() { _ = open(all) })
		}
		synctest.Wait()
		why := errors.New("enough")
		leave := func(when string) {
			t.Helper()
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Millisecond, func() { cancel(why) })
			if err := open(ctx); err != why {
				t.Errorf("%s: got %v, want the cause", when, err)
			}
		}
		leave("for a place")
		c.want(16, "who left asks for nothing")
		c.answer(429)
		synctest.Wait()
		leave("in a pause")
		time.Sleep(3 * time.Minute)
		c.want(8, "after the pause")
		end()
		readers.Wait()
	})
}
