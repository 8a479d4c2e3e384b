package bulk_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/transport"
)

// Tests that take hours run on synctest's fake clock, with a server that is a function.

type poll func(n int) (status int, header http.Header, body string, err error)

const done = `{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":false,"output":[]}`

// waiter returns a client whose nth request, counted from 1, is answered by server.
func waiter(t *testing.T, o bulk.Poll, server poll) *bulk.Client {
	t.Helper()
	n := 0
	c, err := bulk.New(bulk.Options{Base: "https://h.example/fhir", Poll: o,
		HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			n++
			status, header, body, err := server(n)
			if err != nil {
				return nil, err
			}
			if header == nil {
				header = http.Header{}
			}
			return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
				Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1, Request: r}, nil
		})}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var slow = bulk.Job{StatusURL: "https://h.example/fhir/job/1?" + secret}

func TestWaitClampsRetryAfter(t *testing.T) {
	t.Parallel()
	const lo, hi = 10 * time.Second, 5 * time.Minute
	for _, test := range []struct {
		name       string
		retryAfter func(now time.Time) string
		lo, hi     time.Duration
	}{
		{"0", func(time.Time) string { return "0" }, lo, lo},
		{"30", func(time.Time) string { return "30" }, 30 * time.Second, 30 * time.Second},
		{"7200", func(time.Time) string { return "7200" }, hi, hi},
		{"date ahead", func(now time.Time) string { return now.Add(time.Minute).UTC().Format(http.TimeFormat) }, time.Minute, time.Minute},
		{"date far ahead", func(now time.Time) string { return now.Add(3 * time.Hour).UTC().Format(http.TimeFormat) }, hi, hi},
		{"date past", func(now time.Time) string { return now.Add(-time.Hour).UTC().Format(http.TimeFormat) }, lo, lo},
		{"garbage", func(time.Time) string { return "soon" }, lo, hi},
		{"absent", func(time.Time) string { return "" }, lo, hi},
	} {
		for _, status := range []int{202, 429, 503} {
			t.Run(test.name+" "+http.StatusText(status), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var asked []time.Time
					c := waiter(t, bulk.Poll{Min: lo, Max: hi}, func(n int) (int, http.Header, string, error) {
						asked = append(asked, time.Now())
						if n > 3 {
							return 200, nil, done, nil
						}
						return status, http.Header{"Retry-After": {test.retryAfter(time.Now())}}, "", nil
					})
					var next []time.Duration
					if _, err := c.Wait(t.Context(), slow, func(p bulk.Progress) { next = append(next, p.Next) }); err != nil {
						t.Fatal(err)
					}
					for i := range len(asked) - 1 {
						paused := asked[i+1].Sub(asked[i])
						longest := test.hi
						if status != 202 { // failures back off on their own too
							longest = hi
						}
						if paused < test.lo || paused > longest {
							t.Errorf("pause %d was %v, want %v to %v", i+1, paused, test.lo, longest)
						}
						if status == 202 && next[i] != paused {
							t.Errorf("progress said %v, the pause was %v", next[i], paused)
						}
					}
				})
			})
		}
	}
}

func TestWaitBacksOffByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		polls := 0
		c := waiter(t, bulk.Poll{Min: time.Second, Max: time.Minute, Deadline: time.Hour}, func(n int) (int, http.Header, string, error) {
			polls = n
			return 202, nil, "", nil
		})
		_, err := c.Wait(t.Context(), slow, nil)
		wantError(t, err, transport.Unavailable)
		if polls < 60 || polls > 130 { // one or two a minute, except for the first few
			t.Errorf("asked %d times in an hour", polls)
		}
	})
}

func TestWaitDeadline(t *testing.T) {
	t.Parallel()
	hour := http.Header{"Retry-After": {"3600"}}
	for name, server := range map[string]poll{
		"running":      func(int) (int, http.Header, string, error) { return 202, hour, "", nil },
		"in an outage": func(int) (int, http.Header, string, error) { return 503, hour, "", nil },
		"unreachable":  func(int) (int, http.Header, string, error) { return 0, nil, "", errors.New("no route to host") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := waiter(t, bulk.Poll{Outage: 100 * time.Hour}, server).Wait(t.Context(), slow, nil)
				e := wantError(t, err, transport.Unavailable, "waiting for the export", "24h0m0s")
				wantHint(t, e, "poll.deadline")
				if waited := time.Since(start); waited != 24*time.Hour {
					t.Errorf("waited %v, want 24h", waited)
				}
			})
		})
	}
}

// The deadline also ends an exchange that hangs.
func TestWaitDeadlineOfAServerThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := bulk.New(bulk.Options{Base: "https://h.example/fhir", Poll: bulk.Poll{Deadline: time.Hour},
			HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Wait(t.Context(), slow, nil)
		wantHint(t, wantError(t, err, transport.Unavailable, "1h0m0s"), "poll.deadline")
	})
}

func TestWaitOutage(t *testing.T) {
	t.Parallel()
	const limit, longest = 30 * time.Minute, 5 * time.Minute
	for name, server := range map[string]poll{
		"503":         func(int) (int, http.Header, string, error) { return 503, nil, "<html>", nil },
		"429":         func(int) (int, http.Header, string, error) { return 429, http.Header{"Retry-After": {"0"}}, "", nil },
		"unreachable": func(int) (int, http.Header, string, error) { return 0, nil, "", errors.New("no route to host") },
		"cut":         func(int) (int, http.Header, string, error) { return 200, http.Header{}, `{"outp`, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := waiter(t, bulk.Poll{}, server).Wait(t.Context(), slow, nil)
				waited := time.Since(start)
				if name == "cut" { // complete as far as HTTP knows, so a few attempts are enough
					if wantError(t, err, transport.Broken); waited > time.Minute {
						t.Errorf("waited %v", waited)
					}
					return
				}
				wantHint(t, wantError(t, err, transport.Unavailable, "waiting for the export"), "")
				if waited < limit || waited > limit+longest {
					t.Errorf("gave up after %v, want %v and at most %v more", waited, limit, longest)
				}
			})
		})
	}
}

// Many short outages do not add up to a long one.
func TestWaitOutageEndsWithAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := waiter(t, bulk.Poll{}, func(n int) (int, http.Header, string, error) {
			switch {
			case time.Since(start) > 20*time.Hour:
				return 200, nil, done, nil
			case n%4 == 0:
				return 202, nil, "", nil
			}
			return 503, nil, "", nil
		})
		if _, err := c.Wait(t.Context(), slow, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestWaitCanceledInItsPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		start := time.Now()
		c := waiter(t, bulk.Poll{}, func(int) (int, http.Header, string, error) {
			return 202, http.Header{"Retry-After": {"300"}}, "", nil
		})
		if _, err := c.Wait(ctx, slow, nil); err != why || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v, want the cause", err, time.Since(start))
		}
	})
}
