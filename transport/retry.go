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

// Retry configures how often and how patiently to send a request again.
type Retry struct {
	// Max is the maximum number of retries after the first attempt. Default 4; negative means
	// none.
	Max int

	// MinWait and MaxWait bound the pause between attempts, even if Retry-After asks for
	// something else. Without Retry-After, a random part of up to half is taken off each
	// pause. Defaults 500 ms and 1 min.
	MinWait, MaxWait time.Duration

	// Again decides after each exchange whether to retry. Nil means [AnyFailure].
	Again func(*http.Response, error) bool

	// Log gets a line for each failed attempt that Again would repeat, so that waiting is not
	// silent. Nil discards them.
	Log *slog.Logger
}

// WithDefaults returns r with the defaults of Max, MinWait and MaxWait.
func (r Retry) WithDefaults() Retry {
	r.Max = cmp.Or(r.Max, 4)
	r.MinWait = cmp.Or(max(r.MinWait, 0), 500*time.Millisecond)
	r.MaxWait = cmp.Or(max(r.MaxWait, 0), time.Minute)
	return r
}

// Retrying returns a client like c that retries when the network or the server falters.
// When the attempts are used up, the last response or error is returned unchanged, so that
// the caller can read what the server said.
//
// Each hop of a redirect has attempts of its own.
//
// Other requests are repeated elsewhere: package bulk repeats polls, files that broke off, and
// requests whose token had expired; an auth.Cache repeats token requests that a gateway refused.
func Retrying(c *http.Client, r Retry) *http.Client {
	r = r.WithDefaults()
	r.Max = max(r.Max, 0)
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
			return false, nil //nolint:nilerr // a RoundTripper must not return an error along with a response
		}
		again := r.Again(resp, err)
		tried := ctx.Value(attemptsKey{}).(*int)
		if *tried++; again && r.Log != nil {
			logFailure(r.Log, resp, err, *tried <= r.Max)
		}
		return again, nil
	}
	// Redirects are followed in a layer above the retries, by c's own policy.
	rc.HTTPClient = &http.Client{
		Transport:     c.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	again := *c
	again.Transport = countAttempts{&retryablehttp.RoundTripper{Client: rc}}
	return &again
}

// attemptsKey is the context key of a request's number of attempts so far, an *int.
type attemptsKey struct{}

// countAttempts gives each request a counter of its attempts, because retryablehttp does not
// tell CheckRetry which attempt failed.
type countAttempts struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (c countAttempts) RoundTrip(r *http.Request) (*http.Response, error) {
	return c.next.RoundTrip(r.WithContext(context.WithValue(r.Context(), attemptsKey{}, new(int))))
}

// logFailure logs which request failed and why, and whether it is retried.
func logFailure(log *slog.Logger, resp *http.Response, err error, again bool) {
	message := "a request failed; giving up"
	if again {
		message = "a request failed; retrying"
	}
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

// AnyFailure asks for another attempt after any failure that may pass: a network failure,
// a 5xx other than 501, a 408, 425 or 429. It suits requests that change nothing at the server.
func AnyFailure(resp *http.Response, err error) bool {
	if err != nil {
		if errors.Is(err, ErrPlainHTTP) || errors.Is(err, ErrHost) || errors.Is(err, ErrRedirect) || errors.Is(err, http.ErrSchemeMismatch) {
			return false
		}
		again, _ := retryablehttp.DefaultRetryPolicy(context.Background(), nil, err) // rejects bad certificates and schemes
		return again
	}
	return Passing(resp.StatusCode)
}

// Passing reports whether a status means "not now".
func Passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500 && status != http.StatusNotImplemented
}

// backoff returns what Retry-After asks for, or else an exponential pause with jitter. Retry-After
// is kept within lo and hi (go-retryablehttp's own backoff obeys any, even days).
func backoff(lo, hi time.Duration, attempt int, resp *http.Response) time.Duration {
	if resp != nil {
		if wait, ok := RetryAfter(resp.Header, time.Now()); ok {
			return min(max(wait, lo), hi)
		}
	}
	return Exponential(lo, hi, attempt)
}

// Exponential returns the pause after the given attempt, counted from 0: lo doubled for each
// attempt up to hi, minus a random part of up to half so that clients do not march in step.
func Exponential(lo, hi time.Duration, attempt int) time.Duration {
	d := hi
	if attempt < 63 && lo <= hi>>attempt { // shifting lo instead could overflow
		d = lo << attempt
	}
	return d/2 + rand.N(d/2+1)
}

// RetryAfter returns how long a server asks clients to wait, in the forms that servers really
// use: seconds, whole or not, or a date (RFC 9110 10.2.3), which may also be in seconds or
// milliseconds since 1970. It also reads X-RetryAfter and X-Retry-After, which Netsmart sends.
// Anything else counts as absent. A time in the past yields 0. Callers clamp the result.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	const (
		epochSeconds = 9e8 // in 1998; as a pause it would be 28 years
		epochMillis  = 9e11
		century      = 100 * 365 * 24 * 3600 // in seconds; as nanoseconds it still fits an int64
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

// Sleep waits for d. If ctx ends first, it returns ctx's cause.
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
