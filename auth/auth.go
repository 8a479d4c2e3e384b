// Package auth gets credentials and keeps them. It knows how they are made, not what
// they are used for.
//
// The common path is a [Cache] around a way of getting one:
//
//	credentials := auth.NewCache(auth.ClientCredentials{
//		TokenURL:     "https://gateway.1up.health/auth/realms/dev-portal/protocol/openid-connect/token",
//		ClientID:     id,
//		ClientSecret: secret,
//		Scope:        "bulk-data|user/*.rs",
//		HTTP:         client,
//	})
//	c, err := credentials.Credential(ctx)
//	c.Apply(req.Header)
//
// Which origins a credential may go to is for the caller to hold: see package bulk.
package auth

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"time"
)

// Credential is what a request carries to say who is asking. However it is printed,
// it prints as "[credential]". The zero value is no credential.
type Credential struct {
	// header is nil for no credential. It is a func because fmt cannot look into one:
	// where a struct has a Credential in a field that is not exported, fmt prints all
	// that it can see and does not call Format.
	header func() http.Header

	expires time.Time // zero: not known
	fetched time.Time
	serial  uint64 // which of a Cache's fetches brought it
}

// Bearer is a token that somebody else got. It goes into the Authorization header
// (RFC 6750 2.1), and nothing renews it.
func Bearer(token string) Credential {
	h := http.Header{"Authorization": {"Bearer " + token}}
	return Credential{header: func() http.Header { return h }}
}

// Apply sets the credential's headers on a request.
func (c Credential) Apply(h http.Header) {
	if c.header != nil {
		maps.Copy(h, c.header())
	}
}

// Format implements [fmt.Formatter], so that no verb prints the secret.
func (Credential) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[credential]") }

// LogValue implements [slog.LogValuer].
func (Credential) LogValue() slog.Value { return slog.StringValue("[credential]") }

// Fetcher gets a new credential from where they are made. A Cache calls it from one
// goroutine at a time; it retries inside what is worth retrying, and an error that it
// returns is final for this run. Canceling ctx ends the call.
type Fetcher interface {
	Fetch(ctx context.Context) (Credential, error)
}

// Fetch makes a Credential a Fetcher that gives itself: a static one.
func (c Credential) Fetch(context.Context) (Credential, error) { return c, nil }

// Cache hands one credential to many goroutines: it fetches when there is none, when
// the old one is about to end, and when the server has refused the old one. Only one
// fetch runs at a time; the others wait for what it brings.
type Cache struct {
	fetcher Fetcher
	turn    chan struct{} // holds one token: whoever has it may look at current and fetch
	current Credential
}

// NewCache returns a Cache over f. It fetches nothing before it is asked.
func NewCache(f Fetcher) *Cache {
	return &Cache{fetcher: f, turn: make(chan struct{}, 1)}
}

// Credential returns a credential that is good for a while: at least 30 s, or a fifth
// of its life if that is shorter. Safe for concurrent use.
func (c *Cache) Credential(ctx context.Context) (Credential, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return Credential{}, context.Cause(ctx)
	}
	if c.current.header != nil && !c.current.ending(time.Now()) {
		return c.current, nil
	}
	next, err := c.fetcher.Fetch(ctx)
	if err != nil {
		return Credential{}, err
	}
	next.serial = c.current.serial + 1
	next.fetched = time.Now()
	c.current = next
	return next, nil
}

// Reject says that a server answered 401 to refused. If it is still the current one,
// the next call of Credential fetches another; a Credential that was refused late, by
// one of many workers, does not throw away its successor. Safe for concurrent use.
func (c *Cache) Reject(refused Credential) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
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
