package transport

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Retry says how often and how patiently to send a request again.
type Retry struct {
	// Max is how many times a request is sent again after the first. Default 4.
	Max int

	// MinWait and MaxWait bound the pause between two of them, also when the server
	// asks for another in Retry-After; without that, chance takes off up to half of the
	// pause. Defaults 500 ms and 1 min.
	MinWait, MaxWait time.Duration

	// Again decides after each exchange; nil is [AnyFailure].
	Again func(*http.Response, error) bool

	// Log gets a line for each attempt after the first, so that a wait is not silence.
	// Nil discards them.
	Log *slog.Logger
}

// Retrying returns a client like c that sends a request again when the network or the
// server falters. When the attempts are used up, the last answer or error is returned
// as it came, so that the caller can read what the server said.
//
// Each hop of a redirect has attempts of its own.
func Retrying(c *http.Client, r Retry) *http.Client {
	if r.Max <= 0 {
		r.Max = 4
	}
	if r.MinWait <= 0 {
		r.MinWait = 500 * time.Millisecond
	}
	if r.MaxWait <= 0 {
		r.MaxWait = time.Minute
	}
	if r.Again == nil {
		r.Again = AnyFailure
	}
	rc := retryablehttp.NewClient()
	rc.Logger = nil // its lines would hold whole URLs
	rc.RetryMax = r.Max
	rc.RetryWaitMin, rc.RetryWaitMax = r.MinWait, r.MaxWait
	rc.ErrorHandler = retryablehttp.PassthroughErrorHandler
	rc.Backoff = backoff
	rc.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		if ctx.Err() != nil {
			return false, nil //nolint:nilerr // an error would go out beside the answer, which a RoundTripper must not do
		}
		again := r.Again(resp, err)
		if again && r.Log != nil {
			logFailure(r.Log, resp, err)
		}
		return again, nil
	}
	// Redirects are followed above the retries, by c's own policy.
	rc.HTTPClient = &http.Client{
		Transport:     c.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	again := *c
	again.Transport = &retryablehttp.RoundTripper{Client: rc}
	return &again
}

// logFailure says which request is sent again, or is given up after the last attempt,
// and why.
func logFailure(log *slog.Logger, resp *http.Response, err error) {
	const message = "a request failed; it is sent again soon, or given up"
	var failed *url.Error
	switch {
	case err == nil:
		log.Warn(message, "url", Redact(resp.Request.URL.String()), "status", resp.StatusCode)
	case errors.As(err, &failed):
		log.Warn(message, "url", Redact(failed.URL), "error", Cause(err))
	default:
		log.Warn(message, "error", err)
	}
}

// AnyFailure asks for another attempt after any failure that may pass: the network's,
// a 5xx but 501, a 408, 425 or 429. It suits requests that change nothing at the server.
func AnyFailure(resp *http.Response, err error) bool {
	if err != nil {
		if errors.Is(err, ErrPlainHTTP) || errors.Is(err, ErrHost) || errors.Is(err, ErrRedirect) || errors.Is(err, http.ErrSchemeMismatch) {
			return false
		}
		again, _ := retryablehttp.DefaultRetryPolicy(context.Background(), nil, err) // knows bad certificates and schemes
		return again
	}
	return Passing(resp.StatusCode)
}

// Passing says whether a status is the server's way of saying "not now".
func Passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500 && status != http.StatusNotImplemented
}

// backoff is exponential with full jitter, or what Retry-After asks for; both stay
// within lo and hi (go-retryablehttp's own trusts any Retry-After, days included).
func backoff(lo, hi time.Duration, attempt int, resp *http.Response) time.Duration {
	if resp != nil {
		if wait, ok := RetryAfter(resp.Header, time.Now()); ok {
			return min(max(wait, lo), hi)
		}
	}
	return Exponential(lo, hi, attempt)
}

// Exponential is the pause before attempt+1 (counted from 0): lo doubled each time up
// to hi, then a random half of it taken off so that clients do not march in step.
func Exponential(lo, hi time.Duration, attempt int) time.Duration {
	d := hi
	if attempt < 63 && lo <= hi>>attempt { // shifting lo before could overflow
		d = lo << attempt
	}
	return d/2 + rand.N(d/2+1)
}

// RetryAfter is how long a server asks to be left alone, as servers really say it: in
// seconds, whole or not, or as a date (RFC 9110 10.2.3), which may also be seconds or
// milliseconds since 1970; and in X-RetryAfter or X-Retry-After too, as
// Netsmart does. What is none of these
// is as good as absent. A moment in the past is 0. Callers clamp.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	const (
		epochSeconds = 9e8 // of 1998; as a pause it would be 28 years
		epochMillis  = 9e11
		century      = 100 * 365 * 24 * 3600 // of seconds: keeps the product below an int64 of nanoseconds
	)
	v := strings.TrimSpace(cmp.Or(h.Get("Retry-After"), h.Get("X-RetryAfter"), h.Get("X-Retry-After")))
	seconds, err := strconv.ParseFloat(v, 64)
	switch {
	case err != nil:
		at, err := http.ParseTime(v)
		return max(at.Sub(now), 0), err == nil
	case seconds < 0 || seconds != seconds:
		return 0, false
	case seconds >= epochMillis && seconds < 1e15:
		return max(time.UnixMilli(int64(seconds)).Sub(now), 0), true
	case seconds >= epochSeconds && seconds < epochMillis:
		return max(time.Unix(int64(seconds), 0).Sub(now), 0), true
	}
	return time.Duration(min(seconds, century) * float64(time.Second)), true
}

// Sleep waits for d or for the end of ctx, whose cause it then returns.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
