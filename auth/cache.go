package auth

import (
	"context"
	"errors"
	"sync"
	"time"

	"fhirkiln/transport"
)

// Cache shares one credential among many goroutines. It fetches when there is none, when
// the old one is about to expire, and when the server has refused the old one. Only one
// fetch runs at a time; other callers wait for its result, even if that is a failure. Once
// the credentials themselves have been refused (an error of kind Denied), the Cache does
// not fetch again: sixteen workers with a wrong secret are one failed login, not sixteen,
// which might lock the client out. Only another secret ends that; see [Rereader]. After a
// credential has been granted, a 403 without an OAuth error does not count as a refusal: it
// comes from a gateway or firewall, and is waited out like an outage. Create it with
// [NewCache].
type Cache struct {
	fetch  func(context.Context) (Credential, error) // a func, because fmt would print what is in a Fetcher
	reread func() bool                               // a [Rereader]'s Reread
	turn   chan struct{}                             // holds one token: whoever has it may fetch and reread
	denied error                                     // the refusal of the current secret; only for who has the turn

	mu      sync.Mutex // guards the fields below; never held while fetching
	current Credential
	failed  error  // of the last failed fetch
	fails   uint64 // how many fetches have failed
	granted string // the scope in the last warning
}

// NewCache returns a Cache over f. It fetches nothing until Credential is called.
func NewCache(f Fetcher) *Cache {
	c := &Cache{fetch: f.Fetch, reread: func() bool { return false }, turn: make(chan struct{}, 1)}
	if r, ok := f.(Rereader); ok {
		c.reread = r.Reread
	}
	return c
}

// Credential returns a credential that remains valid for at least 30 s, or a fifth of its
// lifetime if that is shorter. It is safe for concurrent use.
func (c *Cache) Credential(ctx context.Context) (Credential, error) {
	if c.turn == nil {
		return Credential{}, errors.New("auth: a Cache that was not created with NewCache")
	}
	c.mu.Lock()
	fails := c.fails
	c.mu.Unlock()
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return Credential{}, context.Cause(ctx)
	}
	if c.denied != nil && c.reread() {
		c.denied = nil
	}
	if known, err, ok := c.known(fails); ok {
		return known, err
	}
	next, err := c.fetchOrOutlast(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		switch {
		case ctx.Err() != nil: // fails this caller only
		case isDenied(err):
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
	if w := next.warning; w.granted != "" && w.granted != c.granted {
		c.granted = w.granted
		w.log()
	}
	return next, nil
}

// gatewayRetries is how often a credential is fetched again while a gateway refuses in place of
// the token endpoint.
const gatewayRetries = 4

// fetchOrOutlast fetches a credential. If a gateway refuses in place of an endpoint that has
// granted a credential before, that is an outage, not a refusal of the credentials:
// fetchOrOutlast tries a few more times, then returns an error of kind Unavailable, which is
// not kept. As with any outage, the callers bound how long it may last. Before the first
// grant, such a 403 may be how this server refuses credentials, and retrying a wrong secret
// may lock the client out. The caller must hold the turn.
func (c *Cache) fetchOrOutlast(ctx context.Context) (Credential, error) {
	next, err := c.fetchOrReread(ctx)
	c.mu.Lock()
	granted := c.current.serial > 0
	c.mu.Unlock()
	for n := 0; granted && errors.Is(err, errGateway) && ctx.Err() == nil; n++ {
		if n == gatewayRetries {
			return Credential{}, outage(err)
		}
		if err := transport.Sleep(ctx, transport.Exponential(2*time.Second, 16*time.Second, n)); err != nil {
			return Credential{}, err
		}
		next, err = c.fetchOrReread(ctx)
	}
	return next, err
}

// fetchOrReread fetches a credential, a second time if the issuer refuses and there is another
// secret by now. The caller must hold the turn.
func (c *Cache) fetchOrReread(ctx context.Context) (Credential, error) {
	next, err := c.fetch(ctx)
	if isDenied(err) && ctx.Err() == nil && c.reread() {
		return c.fetch(ctx)
	}
	return next, err
}

// outage turns a gateway's refusal into a failure that may pass.
func outage(err error) error {
	var e *transport.Error
	if !errors.As(err, &e) {
		return err
	}
	passing := *e
	passing.Kind = transport.Unavailable
	passing.Hint = "the credentials worked before, so a gateway or firewall in front of the token endpoint may be in the way: run again later, or ask the server's owner"
	return &passing
}

// known returns what can be told without fetching: the current credential, the kept refusal,
// or the failure of a fetch that ended after fails was read. The caller must hold the turn.
//
//nolint:staticcheck // the error is not last: ok covers both results before it
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

// Reject tells the Cache that a server answered 401 to refused. If refused is still current,
// the next call of Credential fetches another; a late rejection by one of many workers does
// not discard its successor. Reject never blocks on a fetch. It is safe for concurrent use.
func (c *Cache) Reject(refused Credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current.serial == refused.serial {
		c.current.header = nil
	}
}

// skew is how long before its expiry a credential is renewed. It covers the time that a
// request is in flight, and a server whose clock is slightly ahead.
const skew = 30 * time.Second

// ending reports whether c is too close to its expiry to start a request with.
func (c Credential) ending(now time.Time) bool {
	if c.expires.IsZero() {
		return false
	}
	life := c.expires.Sub(c.fetched)
	return c.expires.Sub(now) < min(skew, life/5)
}
