package bulk

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"fhirkiln/transport"
)

// retryAfter is how long a server asks to be left alone, as servers really say it: in
// seconds, whole or not, or as a date, which may also be seconds or milliseconds since
// 1970; and in X-RetryAfter too, as Netsmart does. What is none of these is as good as
// absent. A moment in the past is 0. Callers clamp.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(cmp.Or(h.Get("Retry-After"), h.Get("X-RetryAfter"), h.Get("X-Retry-After")))
	seconds, err := strconv.ParseFloat(v, 64)
	if err != nil || seconds < 0 || seconds != seconds {
		return transport.RetryAfter(http.Header{"Retry-After": {v}}, now)
	}
	const (
		epochSeconds = 9e8 // of 1998; as a pause it would be 28 years
		epochMillis  = 9e11
		century      = 100 * 365 * 24 * 3600
	)
	switch {
	case seconds >= epochMillis && seconds < 1e15:
		return max(time.UnixMilli(int64(seconds)).Sub(now), 0), true
	case seconds >= epochSeconds && seconds < epochMillis:
		return max(time.Unix(int64(seconds), 0).Sub(now), 0), true
	}
	return time.Duration(min(seconds, century) * float64(time.Second)), true
}
