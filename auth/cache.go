package auth

import (
	"context"
	"errors"
	"sync"
	"time"

	"fhirkiln/transport"
)

// Cache hands one credential to many goroutines: it fetches when there is none, when
// the old one is about to end, and when the server has refused the old one. Only one
// fetch runs at a time; the others wait for what it brings, be it a failure. Once the
// credentials themselves were refused (an error of kind Denied), it does not fetch
// again: sixteen workers with a wrong secret are one failed login, not sixteen, which
// might lock the client out. A 403 without OAuth's error does not count as such once a
// credential was granted: a gateway or firewall sent it, and it is waited out as an
// outage is.
type Cache struct {
	fetch func(context.Context) (Credential, error) // a func, since fmt would print what is in a Fetcher
	turn  chan struct{}                             // holds one token: whoever has it may fetch

	mu      sync.Mutex // over what follows; never held while fetching
	current Credential
	denied  error  // for good
	failed  error  // of the last fetch
	fails   uint64 // how many fetches have failed
	granted string // the scope that was warned of last
}

// NewCache returns a Cache over f. It fetches nothing before it is asked.
func NewCache(f Fetcher) *Cache {
	return &Cache{fetch: f.Fetch, turn: make(chan struct{}, 1)}
}

// Credential returns a credential that is good for a while: at least 30 s, or a fifth
// of its life if that is shorter. Safe for concurrent use.
func (c *Cache) Credential(ctx context.Context) (Credential, error) {
	c.mu.Lock()
	fails := c.fails
	c.mu.Unlock()
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return Credential{}, context.Cause(ctx)
	}
	if known, err, ok := c.known(fails); ok {
		return known, err
	}
	next, err := c.fetchOrOutlast(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		var e *transport.Error
		switch {
		case ctx.Err() != nil: // it is this caller's failure alone
		case errors.As(err, &e) && e.Kind == transport.Denied:
			c.denied = err
		default:
			c.failed = err
			c.fails++
		}
		return Credential{}, err
	}
	next.serial = c.current.serial + 1
	next.fetched = time.Now()
	c.current = next
	if r := next.remark; r.granted != "" && r.granted != c.granted {
		c.granted = r.granted
		r.say()
	}
	return next, nil
}

// gatewayPauses are before the further attempts at a token endpoint before which a
// gateway has put itself, each less a random half.
var gatewayPauses = [...]time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}

// fetchOrOutlast fetches. Where a gateway refused in the place of an endpoint that has
// granted a credential before, that is no refusal of the credentials but an outage: it
// is tried a few times more, and then an error of kind Unavailable, which is not kept.
// How long it may last is for the callers to bound, as with any other outage. Before the
// first grant it may be how this server refuses, and to try a wrong secret again may
// lock the client out. The turn is held.
func (c *Cache) fetchOrOutlast(ctx context.Context) (Credential, error) {
	next, err := c.fetch(ctx)
	c.mu.Lock()
	granted := c.current.serial > 0
	c.mu.Unlock()
	for n := 0; granted && errors.Is(err, errGateway) && ctx.Err() == nil; n++ {
		if n == len(gatewayPauses) {
			return Credential{}, outage(err)
		}
		if err := transport.Sleep(ctx, transport.Exponential(gatewayPauses[n], gatewayPauses[n], 0)); err != nil {
			return Credential{}, err
		}
		next, err = c.fetch(ctx)
	}
	return next, err
}

// outage is a gateway's refusal as a failure that may pass.
func outage(err error) error {
	var e *transport.Error
	if !errors.As(err, &e) {
		return err
	}
	passing := *e
	passing.Kind = transport.Unavailable
	passing.Hint = "the credentials were good before, so that a gateway or firewall before the token endpoint may be in the way: run again later, or ask the server's owner"
	return &passing
}

// known is what needs no fetch: the current credential, a refusal, or what a fetch has
// come to that ended since fails was read.
//
//nolint:staticcheck // an error in the middle: ok is about both
func (c *Cache) known(fails uint64) (_ Credential, _ error, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.denied != nil:
		return Credential{}, c.denied, true
	case c.current.header != nil && !c.current.ending(time.Now()):
		return c.current, nil, true
	case c.fails != fails:
		return Credential{}, c.failed, true
	}
	return Credential{}, nil, false
}

// Reject says that a server answered 401 to refused. If it is still the current one,
// the next call of Credential fetches another; a Credential that was refused late, by
// one of many workers, does not throw away its successor. It never blocks. Safe for
// concurrent use.
func (c *Cache) Reject(refused Credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current.serial == refused.serial {
		c.current.header = nil
	}
}

// skew is how long before its end a credential is renewed. It covers the time that a
// request is on its way, and a server whose clock is a little ahead.
const skew = 30 * time.Second

// ending says whether c is too near its end to start a request with.
func (c Credential) ending(now time.Time) bool {
	if c.expires.IsZero() {
		return false
	}
	life := c.expires.Sub(c.fetched)
	return c.expires.Sub(now) < min(skew, life/5)
}
