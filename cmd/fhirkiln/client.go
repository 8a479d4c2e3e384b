package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/config"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// patience holds the waiting times for servers that config.yaml does not set. The zero value
// means the defaults of the packages below; tests wait less.
type patience struct {
	header, stall time.Duration   // see transport.Options
	retry         transport.Retry // for files, tokens and requests that change nothing at the server
	outage        time.Duration   // see bulk.Poll
}

// newClient creates a source's client with its credentials. Credentials that must outlast
// the run are kept in state.
func newClient(s config.Source, state tokenPlace, p patience, log *slog.Logger) (*bulk.Client, error) {
	way, err := wayTo(s)
	if err != nil {
		return nil, err
	}
	way.HeaderTimeout, way.OnceTimeout, way.StallTimeout = p.header, p.header, p.stall
	client := transport.New(way)
	fetcher, err := fetcherOf(s, state, client, p.retry, log)
	if err != nil {
		return nil, err
	}
	options := bulk.Options{
		Base:         s.FHIR,
		HTTP:         client,
		TokenOrigins: s.TokenOrigins,
		FileHosts:    s.FileHosts,
		Log:          log,
		Poll:         bulk.Poll{Min: s.Poll.Min, Max: s.Poll.Max, Deadline: s.Poll.Deadline, Outage: p.outage},
		Retry:        p.retry,
	}
	if fetcher != nil {
		options.Credentials = auth.NewCache(fetcher)
	}
	return bulk.New(options)
}

// tokenPlace is the part of a state that refresh tokens need.
type tokenPlace = auth.Objects[sink.Version]

// tokenObject keeps the refresh token of a source's user in the state. A token of another
// user, or one obtained with earlier settings of config.yaml, is ignored.
func tokenObject(s config.Source, state tokenPlace) auth.TokenStore {
	a := s.Auth
	user := strings.Join([]string{a.CodeURL, a.TokenURL, a.ClientID, a.AppUserID, a.Code.Reveal(), a.RefreshToken.Reveal()}, "\n")
	return auth.NewTokenObject(state, "_fhirkiln/tokens/"+s.Name+".json", user)
}

// wayTo returns how a source is reached: proxy, certificates, and its gateway's headers.
func wayTo(s config.Source) (transport.Options, error) {
	own := append([]string{s.FHIR}, s.TokenOrigins...)
	o := transport.Options{UserAgent: "fhirkiln/" + version(), AllowHTTP: s.AllowHTTP, Header: headers(s, config.HeaderAll), HeaderOrigins: own}
	var err error
	if s.Proxy != "" {
		if o.Proxy, err = url.Parse(s.Proxy.Reveal()); err != nil {
			return o, fmt.Errorf("source %s: the proxy's URL is unreadable", s.Name) // err would quote its password
		}
	}
	if s.TLS.ClientCert != "" {
		if o.Certificate, err = transport.LoadCertificate(s.TLS.ClientCert, s.TLS.ClientKey); err != nil {
			return o, &usageError{fmt.Errorf("source %s: %w", s.Name, err), "check tls.client_cert and tls.client_key: PEM files that belong together"}
		}
		o.CertificateOrigins = certificateOrigins(s)
	}
	if s.TLS.CA != "" {
		if o.Authorities, err = transport.LoadAuthorities(s.TLS.CA); err != nil {
			return o, &usageError{fmt.Errorf("source %s: %w", s.Name, err), "check tls.ca: a PEM file of certificates"}
		}
	}
	return o, nil
}

// certificateOrigins returns the origins that get a source's client certificate: those that
// get its credentials, and those that issue them.
func certificateOrigins(s config.Source) []string {
	origins := append([]string{s.FHIR}, s.TokenOrigins...)
	for _, u := range []string{s.Auth.TokenURL, s.Auth.CodeURL} {
		if u != "" {
			origins = append(origins, u)
		}
	}
	return origins
}

// fetcherOf returns what fetches a source's credentials, or nil if it has none.
func fetcherOf(s config.Source, state tokenPlace, client *http.Client, retry transport.Retry, log *slog.Logger) (auth.Fetcher, error) {
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
			Pin:          &auth.Pin{Origins: s.TokenOrigins},
			ClientID:     a.ClientID,
			ClientSecret: secret,
			Basic:        a.ClientAuth == "basic",
			Scope:        a.Scope,
			RequireScope: a.RequireScope,
			Method:       a.TokenMethod,
			HTTP:         client,
			Retry:        retry,
			Log:          log,
		}, nil
	case config.AuthPrivateKeyJWT:
		key, err := auth.ParseKey([]byte(a.PrivateKey.Reveal()), a.KeyID)
		if err != nil {
			return nil, &usageError{fmt.Errorf("source %s: private_key: %w", s.Name, err), "check private_key_file and key_id"}
		}
		return auth.PrivateKeyJWT{
			TokenURL:     a.TokenURL,
			Discover:     discover,
			Pin:          &auth.Pin{Origins: s.TokenOrigins},
			ClientID:     a.ClientID,
			Key:          key,
			KeySetURL:    a.JKU,
			Scope:        a.Scope,
			RequireScope: a.RequireScope,
			HTTP:         client,
			Retry:        retry,
			Log:          log,
		}, nil
	case config.AuthOneUpUser:
		o := auth.OneUpUserOptions{
			CodeURL:      a.CodeURL,
			TokenURL:     a.TokenURL,
			ClientID:     a.ClientID,
			ClientSecret: secret,
			AppUserID:    a.AppUserID,
			Code:         auth.Secret(a.Code.Reveal()),
			RefreshToken: auth.Secret(a.RefreshToken.Reveal()),
			Names:        auth.OneUpNames(a.Names),
			HTTP:         client,
			Retry:        retry,
			Store:        tokenObject(s, state),
			Log:          log,
		}
		if a.RefreshTokenStore != "" {
			o.Store = auth.TokenFile(a.RefreshTokenStore)
		}
		return auth.NewOneUpUser(o), nil
	case config.AuthOneUpHeaders:
		return auth.OneUpHeaders{ClientID: a.ClientID, ClientSecret: secret, OneUpUserID: a.OneUpUserID, AppUserID: a.AppUserID}, nil
	case config.AuthBearer:
		if a.TokenFile != "" {
			return auth.BearerFile(a.TokenFile), nil
		}
		return auth.Bearer(a.Token.Reveal()), nil
	}
	return nil, nil
}
