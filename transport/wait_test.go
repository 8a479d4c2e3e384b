package transport_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"fhirkiln/transport"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const century = 100 * 365 * 24 * time.Hour
	for _, test := range []struct {
		name, value string
		want        time.Duration
		ok          bool
	}{
		{"absent", "", 0, false},
		{"seconds", "120", 2 * time.Minute, true},
		{"zero", "0", 0, true},
		{"spaces", "  7 ", 7 * time.Second, true},
		{"negative", "-1", 0, false},
		{"huge", "9223372036854775807", century, true},
		{"beyond an int64", "99999999999999999999", century, true},
		{"infinite", "Inf", century, true},
		{"no number", "NaN", 0, false},
		{"fraction", "1.5", 1500 * time.Millisecond, true},
		{"seconds since 1970", strconv.FormatInt(now.Add(time.Minute).Unix(), 10), time.Minute, true},
		{"milliseconds since 1970", strconv.FormatInt(now.Add(time.Minute).UnixMilli(), 10), time.Minute, true},
		{"seconds since 1970, past", strconv.FormatInt(now.Add(-time.Minute).Unix(), 10), 0, true},
		{"milliseconds since 1970, past", strconv.FormatInt(now.Add(-time.Minute).UnixMilli(), 10), 0, true},
		{"28 years as a pause, or 1998", "900000000", 0, true},
		{"1998 in milliseconds", "900000000000", 0, true},
		{"no moment in milliseconds any more", "1000000000000000", century, true},
		{"date ahead", now.Add(3 * time.Hour).Format(http.TimeFormat), 3 * time.Hour, true},
		{"date past", now.Add(-time.Hour).Format(http.TimeFormat), 0, true},
		{"date now", now.Format(http.TimeFormat), 0, true},
		{"date far ahead", "Fri, 31 Dec 9999 23:59:59 GMT", math.MaxInt64, true},
		{"date of RFC 850", "Sunday, 01-Mar-26 12:00:30 GMT", 30 * time.Second, true},
		{"date of asctime", "Sun Mar  1 12:00:30 2026", 30 * time.Second, true},
		{"garbage", "soon", 0, false},
		{"ISO date", "2026-03-01T13:00:00Z", 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			if test.value != "" {
				h.Set("Retry-After", test.value)
			}
			if got, ok := transport.RetryAfter(h, now); got != test.want || ok != test.ok {
				t.Errorf("got %v %v, want %v %v", got, ok, test.want, test.ok)
			}
			if got, ok := transport.RetryAfter(http.Header{"X-Retryafter": h["Retry-After"]}, now); got != test.want || ok != test.ok {
				t.Errorf("X-RetryAfter: got %v %v, want %v %v", got, ok, test.want, test.ok)
			}
		})
	}
}

func TestExponentialStaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lo := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "lo"))
		hi := time.Duration(rapid.Int64Range(int64(lo), math.MaxInt64).Draw(t, "hi"))
		attempt := rapid.IntRange(0, 1000).Draw(t, "attempt")
		if got := transport.Exponential(lo, hi, attempt); got < lo/2 || got > hi || got < 0 {
			t.Errorf("Exponential(%d, %d, %d) = %d", lo, hi, attempt, got)
		}
	})
}

// A shift that overflows may leave a pause that is small but positive.
func TestExponentialDoesNotOverflow(t *testing.T) {
	t.Parallel()
	for bit := range 60 {
		lo, hi := time.Duration(1)<<bit+1, time.Duration(1)<<61
		for attempt := range 100 {
			if got := transport.Exponential(lo, hi, attempt); got < lo/2 || got > hi || attempt > 61-bit && got < hi/2 {
				t.Errorf("Exponential(%d, %d, %d) = %d", lo, hi, attempt, got)
			}
		}
	}
}

func TestExponentialGrows(t *testing.T) {
	t.Parallel()
	for attempt := range 10 {
		d := time.Second << attempt
		if got := transport.Exponential(time.Second, time.Hour, attempt); got < d/2 || got > d {
			t.Errorf("attempt %d: %v is not within %v and %v", attempt, got, d/2, d)
		}
	}
}

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := transport.Sleep(t.Context(), time.Hour); err != nil || time.Since(start) != time.Hour {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		start = time.Now()
		if err := transport.Sleep(ctx, time.Hour); err != why || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v, want the cause", err, time.Since(start))
		}
	})
}

// Retry-After is clamped to MinWait and MaxWait: some servers ask for two hours.
func TestRetryingClampsRetryAfter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		retryAfter func(now time.Time) string
		lo, hi     time.Duration
	}{
		{"0", func(time.Time) string { return "0" }, time.Second, time.Second},
		{"10", func(time.Time) string { return "10" }, 10 * time.Second, 10 * time.Second},
		{"7200", func(time.Time) string { return "7200" }, time.Minute, time.Minute},
		{"in 3 hours", func(now time.Time) string { return now.Add(3 * time.Hour).UTC().Format(http.TimeFormat) }, time.Minute, time.Minute},
		{"an hour ago", func(now time.Time) string { return now.Add(-time.Hour).UTC().Format(http.TimeFormat) }, time.Second, time.Second},
		{"garbage", func(time.Time) string { return "soon" }, time.Second / 2, time.Second},
		{"absent", func(time.Time) string { return "" }, time.Second / 2, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if calls++; calls > 1 {
						return answer(r, 200, nil, ""), nil
					}
					return answer(r, 503, http.Header{"Retry-After": {test.retryAfter(time.Now())}}, ""), nil
				})}
				start := time.Now()
				resp, err := get(t, transport.Retrying(client, transport.Retry{MinWait: time.Second, MaxWait: time.Minute}), "https://h.example/")
				if err != nil || resp.StatusCode != 200 {
					t.Fatal(resp, err)
				}
				if waited := time.Since(start); waited < test.lo || waited > test.hi {
					t.Errorf("waited %v, want %v to %v", waited, test.lo, test.hi)
				}
			})
		})
	}
}
