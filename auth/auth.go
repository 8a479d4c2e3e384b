// Package auth obtains credentials and keeps them current. It knows how they are issued,
// not what they are used for.
//
// Typical use wraps a [Fetcher] in a [Cache]:
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
// The other fetchers are [PrivateKeyJWT] (SMART Backend Services), [OneUpUser] and
// [OneUpHeaders] (1upHealth's users), [Bearer] and [BearerFile]; your own can return what
// [NewCredential] makes. The caller decides which origins a credential may go to; see package
// bulk.
package auth

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"time"
)

// Credential authenticates a request. However it is printed, it prints as "[credential]".
// The zero value is no credential.
type Credential struct {
	// header is nil if there is no credential. It is a func because fmt cannot look into
	// one: for a Credential in an unexported field, fmt does not call Format and prints
	// everything that it can reach.
	header func() http.Header

	expires time.Time // zero if unknown
	fetched time.Time
	serial  uint64 // which of a Cache's fetches returned it
	getOnly bool
	warning scopeWarning
}

// Bearer returns a credential for a token that was obtained elsewhere. It goes into the
// Authorization header (RFC 6750 2.1), and nothing renews it; see [BearerFile].
func Bearer(token string) Credential {
	h := http.Header{"Authorization": {"Bearer " + token}}
	return Credential{header: func() http.Header { return h }}
}

// NewCredential returns a credential that sets the given headers, for a [Fetcher] of your own.
// It copies them, and sends their names as they are spelled. A [Cache] fetches another shortly
// before expires; zero means that this is unknown, and then only after a server has refused it.
func NewCredential(header http.Header, expires time.Time) Credential {
	h := header.Clone()
	return Credential{header: func() http.Header { return h }, expires: expires}
}

// Apply sets the credential's headers on a request.
func (c Credential) Apply(h http.Header) {
	if c.header != nil {
		maps.Copy(h, c.header())
	}
}

// GETOnly reports whether requests with this credential must be GETs: no kick-off by POST,
// no DELETE of an export. See [OneUpHeaders].
func (c Credential) GETOnly() bool { return c.getOnly }

// Format implements [fmt.Formatter], so that no verb prints the secret.
func (Credential) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[credential]") }

// LogValue implements [slog.LogValuer].
func (Credential) LogValue() slog.Value { return slog.StringValue("[credential]") }

// Fetcher obtains a new credential from its issuer. A Cache calls Fetch from one goroutine
// at a time. Fetch itself retries what is worth retrying; an error that it returns is final
// for this run. If the issuer refuses the client, return a [transport.Error] of kind
// transport.Denied, after which a Cache does not fetch again, unless the Fetcher is a
// [Rereader]. Canceling ctx ends the call.
type Fetcher interface {
	Fetch(ctx context.Context) (Credential, error)
}

// Rereader is a [Fetcher] whose secret may be replaced where it is kept, such as in a file. When
// the issuer refuses the client, a Cache calls Reread, and again whenever somebody then asks for
// a credential. It fetches again only if Reread returns true. Calls of Fetch and Reread do not
// overlap.
type Rereader interface {
	Fetcher

	// Reread reports whether there is a secret now that the issuer has not refused, and makes
	// Fetch use it from then on. It must be quick.
	Reread() bool
}

// Fetch implements [Fetcher]: a Credential is a static Fetcher that returns itself.
func (c Credential) Fetch(context.Context) (Credential, error) { return c, nil }
