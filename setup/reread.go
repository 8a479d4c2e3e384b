package setup

import (
	"context"
	"errors"
	"log/slog"

	"fhirkiln/auth"
	"fhirkiln/config"
	"fhirkiln/transport"
)

// fetchFunc is an [auth.Fetcher]. It is a func because fmt cannot look into one.
type fetchFunc func(context.Context) (auth.Credential, error)

// Fetch implements [auth.Fetcher].
func (f fetchFunc) Fetch(ctx context.Context) (auth.Credential, error) { return f(ctx) }

// rereading returns the fetcher that build makes of s. If the server refuses it, and the file of
// the client secret or private key holds another by now, it tries once more with that one, and
// keeps it. An unchanged secret is never sent twice, which might lock the client out.
func rereading(s config.Source, build func(config.Source) (auth.Fetcher, error), log *slog.Logger) (auth.Fetcher, error) {
	fetcher, err := build(s)
	if err != nil || s.Auth.ClientSecretFile == "" && s.Auth.PrivateKeyFile == "" {
		return fetcher, err
	}
	reread := func() bool {
		now, changed := s.Auth.Reread()
		if !changed {
			return false
		}
		next := s
		next.Auth = now
		f, err := build(next)
		if err != nil { // the refusal tells more
			log.Warn("the server refused the credentials, and what their file holds now cannot be used", "error", err)
			return false
		}
		log.Info("the server refused the credentials; using the new ones from their file")
		s, fetcher = next, f
		return true
	}
	fetched := false
	return fetchFunc(func(ctx context.Context) (auth.Credential, error) {
		if fetched && s.Auth.Type == config.AuthOneUpHeaders { // not issued by a server: it is fetched again only if refused
			reread()
		}
		fetched = true
		c, err := fetcher.Fetch(ctx)
		if e, ok := errors.AsType[*transport.Error](err); ok && e.Kind == transport.Denied && reread() {
			return fetcher.Fetch(ctx)
		}
		return c, err
	}), nil
}
