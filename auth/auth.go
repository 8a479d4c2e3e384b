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
// The other ways are [PrivateKeyJWT] (SMART Backend Services), [OneUpUser] and
// [OneUpHeaders] (1upHealth's users), [Bearer] and [BearerFile]. Which origins a credential may go to
// is for the caller to hold: see package bulk.
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
	getOnly bool
	remark  remark
}

// Bearer is a token that somebody else got. It goes into the Authorization header
// (RFC 6750 2.1), and nothing renews it; see [BearerFile].
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

// GETOnly says that a request with this credential must be a GET: no kick-off by POST,
// no DELETE of an export. See [OneUpHeaders].
func (c Credential) GETOnly() bool { return c.getOnly }

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
