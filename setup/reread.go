package setup

import (
	"context"
	"log/slog"

	"fhirkiln/auth"
	"fhirkiln/config"
)

// rereader is an [auth.Rereader]. It is made of funcs because fmt cannot look into them.
type rereader struct {
	fetch  func(context.Context) (auth.Credential, error)
	reread func() bool
}

// Fetch implements [auth.Fetcher].
func (r rereader) Fetch(ctx context.Context) (auth.Credential, error) { return r.fetch(ctx) }

// Reread implements [auth.Rereader].
func (r rereader) Reread() bool { return r.reread() }

// rereading returns the fetcher that build makes of s. If s has its client secret or private key
// from a file, the fetcher is an [auth.Rereader] that uses what the file holds by then.
func rereading(s config.Source, build func(config.Source) (auth.Fetcher, error), log *slog.Logger) (auth.Fetcher, error) {
	fetcher, err := build(s)
	if err != nil || !s.Auth.FromFiles() {
		return fetcher, err
	}
	reread := func() bool {
		now, changed := s.Auth.Reread()
		if !changed {
			return false
		}
		s.Auth = now // even if it cannot be used, so that this is said once

		// Another OneUpUser would forget its refresh token, and that its code was used.
		if user, ok := fetcher.(*auth.OneUpUser); ok {
			user.SetClientSecret(auth.Secret(now.ClientSecret.Reveal()))
		} else if next, err := build(s); err == nil {
			fetcher = next
		} else { // the refusal tells more
			log.Warn("the server refused the credentials, and what their file holds now cannot be used", "error", err)
			return false
		}
		log.Info("the server refused the credentials; using the new ones from their file")
		return true
	}
	fetched := false
	fetch := func(ctx context.Context) (auth.Credential, error) {
		if fetched && s.Auth.Type.Static() {
			reread()
		}
		fetched = true
		return fetcher.Fetch(ctx)
	}
	return rereader{fetch, reread}, nil
}
