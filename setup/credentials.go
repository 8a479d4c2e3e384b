package setup

import (
	"fmt"
	"net/http"
	"strings"

	"fhirkiln/auth"
	"fhirkiln/config"
)

// tokenObject keeps the refresh token of a source's user in the state. A token of another
// user, or one obtained with earlier settings of config.yaml, is ignored.
func tokenObject(s config.Source, state TokenState) auth.TokenStore {
	a := s.Auth
	user := strings.Join([]string{a.CodeURL, a.TokenURL, a.ClientID, a.AppUserID, a.Code.Reveal(), a.RefreshToken.Reveal()}, "\n")
	return auth.NewTokenObject(state, "_fhirkiln/tokens/"+s.Name+".json", user)
}

// fetcherOf returns what fetches a source's credentials, or nil if its type is none. An
// unknown type is an error: an export must not start without the credentials that it needs. pin
// holds where the source's token endpoint was found, so it must outlive the fetcher.
func fetcherOf(s config.Source, pin *auth.Pin, state TokenState, client *http.Client, o Options) (auth.Fetcher, error) {
	a := s.Auth
	var discover string
	if a.Discover {
		discover = s.FHIR
	}
	secret := auth.Secret(a.ClientSecret.Reveal())
	switch a.Type {
	case config.AuthClientCredentials:
		return auth.ClientCredentials{
			TokenURL:     a.TokenURL,
			Discover:     discover,
			Pin:          pin,
			ClientID:     a.ClientID,
			ClientSecret: secret,
			Basic:        a.ClientAuth == "basic",
			Scope:        a.Scope,
			RequireScope: a.RequireScope,
			Method:       a.TokenMethod,
			HTTP:         client,
			Retry:        o.Patience.Retry,
			Log:          o.Log,
		}, nil
	case config.AuthPrivateKeyJWT:
		key, err := auth.ParseKey([]byte(a.PrivateKey.Reveal()), a.KeyID)
		if err != nil {
			return nil, &SourceError{s.Name, fmt.Errorf("private_key: %w", err), "check private_key_file and key_id"}
		}
		return auth.PrivateKeyJWT{
			TokenURL:     a.TokenURL,
			Discover:     discover,
			Pin:          pin,
			ClientID:     a.ClientID,
			Key:          key,
			KeySetURL:    a.JKU,
			Scope:        a.Scope,
			RequireScope: a.RequireScope,
			HTTP:         client,
			Retry:        o.Patience.Retry,
			Log:          o.Log,
		}, nil
	case config.AuthOneUpUser:
		user := auth.OneUpUserOptions{
			CodeURL:      a.CodeURL,
			TokenURL:     a.TokenURL,
			ClientID:     a.ClientID,
			ClientSecret: secret,
			AppUserID:    a.AppUserID,
			Code:         auth.Secret(a.Code.Reveal()),
			RefreshToken: auth.Secret(a.RefreshToken.Reveal()),
			Names:        auth.OneUpNames(a.Names),
			HTTP:         client,
			Retry:        o.Patience.Retry,
			Log:          o.Log,
		}
		switch {
		case a.RefreshTokenStore != "":
			user.Store = auth.TokenFile(a.RefreshTokenStore)
		case state != nil:
			user.Store = tokenObject(s, state)
		}
		return auth.NewOneUpUser(user), nil
	case config.AuthOneUpHeaders:
		return auth.OneUpHeaders{ClientID: a.ClientID, ClientSecret: secret, OneUpUserID: a.OneUpUserID, AppUserID: a.AppUserID}, nil
	case config.AuthBearer:
		if a.TokenFile != "" {
			return auth.BearerFile(a.TokenFile), nil
		}
		return auth.Bearer(a.Token.Reveal()), nil
	case config.AuthNone:
		return nil, nil
	}
	return nil, &SourceError{s.Name, fmt.Errorf("auth type %q is unknown", a.Type), "check auth.type; none sends no credentials"}
}
