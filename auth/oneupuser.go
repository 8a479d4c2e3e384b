package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"fhirkiln/transport"
)

// OneUpUser obtains tokens for one user of 1upHealth's user management. It gets a code with
// the client's id and secret and the user's id, exchanges it for an access token and a
// refresh token, and uses the refresh token from then on. Create it with [NewOneUpUser].
type OneUpUser struct {
	o           OneUpUserOptions
	refresh     Secret // the last that the server issued
	unsaved     bool   // refresh is not in the store
	probed      bool   // the store is known to be writable
	codeUsed    bool   // the server took Code, which works only once
	codeRefused bool   // the server refused Code with this ClientSecret
}

// OneUpUserOptions configures a [OneUpUser]. ClientID, ClientSecret, HTTP and one of
// AppUserID, Code, RefreshToken or a filled Store are required.
type OneUpUserOptions struct {
	// CodeURL issues codes. Default https://api.1up.health/user-management/v1/user/auth-code.
	CodeURL string

	// TokenURL issues tokens. Default https://auth.1up.health/oauth2/token.
	TokenURL string

	ClientID     string
	ClientSecret Secret

	// AppUserID is the client's own id for the user. With it, a new code can be requested
	// whenever there is no valid refresh token; without it, the first code or refresh token
	// must come from elsewhere.
	AppUserID string

	// Code and RefreshToken were obtained elsewhere. A code can be used once, within two
	// hours. They are used if Store has nothing better.
	Code, RefreshToken Secret

	// Store keeps the refresh token between runs. Nil keeps it for this run only.
	Store TokenStore

	// Names are the names that the requests use.
	Names OneUpNames

	// HTTP, Retry and Log are as in [ClientCredentials].
	HTTP  *http.Client
	Retry transport.Retry
	Log   *slog.Logger
}

// OneUpNames are parameter names and grant types on which 1upHealth's pages disagree. The
// zero value is the likeliest combination.
type OneUpNames struct {
	User         string // the user's id in a request for a code. Default app_user_id
	CodeSecret   string // the client's secret in a request for a code. Default client_secret
	TokenSecret  string // the client's secret in a request for a token. Default client_secret
	CodeGrant    string // the grant_type with a code. Default authorization_code
	RefreshGrant string // the grant_type with a refresh token. Default refresh_token
}

// NewOneUpUser fills in defaults. It sends nothing.
func NewOneUpUser(o OneUpUserOptions) *OneUpUser {
	o.CodeURL = cmp.Or(o.CodeURL, "https://api.1up.health/user-management/v1/user/auth-code")
	o.TokenURL = cmp.Or(o.TokenURL, "https://auth.1up.health/oauth2/token")
	o.Names.User = cmp.Or(o.Names.User, "app_user_id")
	o.Names.CodeSecret = cmp.Or(o.Names.CodeSecret, "client_secret")
	o.Names.TokenSecret = cmp.Or(o.Names.TokenSecret, "client_secret")
	o.Names.CodeGrant = cmp.Or(o.Names.CodeGrant, "authorization_code")
	o.Names.RefreshGrant = cmp.Or(o.Names.RefreshGrant, "refresh_token")
	return &OneUpUser{o: o}
}

// SetClientSecret replaces the client's secret. The refresh token stays, and a Code that the
// server took is not sent again: the server may then revoke what it issued for it (RFC 6749
// 4.1.2). It must not be called during Fetch.
func (u *OneUpUser) SetClientSecret(s Secret) { u.o.ClientSecret, u.codeRefused = s, false }

// Format implements [fmt.Formatter], so that no verb prints the secrets.
func (OneUpUser) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[credentials of a user]") }

// Fetch implements [Fetcher]. It uses the refresh token if there is a valid one, otherwise a
// code. It fails like [ClientCredentials.Fetch], or with an error of the store. It is not
// safe for concurrent use.
func (u *OneUpUser) Fetch(ctx context.Context) (Credential, error) {
	refresh, err := u.refreshTokens(ctx)
	if err != nil {
		return Credential{}, err
	}
	var refused error
	for tried := 0; tried < len(refresh); tried++ {
		token := refresh[tried]
		c, err := u.exchange(ctx, u.o.Names.RefreshGrant, "refresh_token", token)
		if !isDenied(err) || u.refresh != "" && errors.Is(err, errGateway) { // a gateway's 403 says nothing about the token
			return c, err
		}
		refused = err
		if tried+1 == len(refresh) {
			// Another process may have used it by now, and saved the next.
			if refresh, err = u.newer(ctx, refresh); err != nil {
				return Credential{}, err
			}
		}
	}
	if u.o.Code != "" && !u.codeUsed && !u.codeRefused {
		c, err := u.exchange(ctx, u.o.Names.CodeGrant, "code", u.o.Code)
		u.codeUsed, u.codeRefused = err == nil, isDenied(err)
		if !u.codeRefused {
			return c, err
		}
		refused = err
	}
	if u.o.AppUserID == "" {
		if refused == nil {
			refused = &transport.Error{Kind: transport.Denied, Doing: "getting a token", Err: errors.New("there is no refresh token and no unused code"),
				Hint: "set app_user_id, or a code or refresh_token obtained elsewhere"}
		}
		return Credential{}, refused
	}
	code, err := u.code(ctx)
	if err != nil {
		return Credential{}, err
	}
	return u.exchange(ctx, u.o.Names.CodeGrant, "code", code)
}

// refreshTokens returns the tokens that may be valid, likeliest first: the store's, which
// another process may have renewed, this run's, and the configured one.
func (u *OneUpUser) refreshTokens(ctx context.Context) ([]Secret, error) {
	tokens := []Secret{u.refresh, u.o.RefreshToken}
	if u.o.Store != nil {
		stored, err := u.o.Store.Load(ctx)
		if err != nil {
			return nil, err
		}
		place := 0
		if u.unsaved {
			place = 1 // the stored token is spent, and servers may punish its use
		}
		tokens = slices.Insert(tokens, place, stored)
	}
	var some []Secret
	for _, t := range tokens {
		if t != "" && !slices.Contains(some, t) {
			some = append(some, t)
		}
	}
	// The server revokes the old token when it issues a new one. So make sure that the store
	// can be written before spending anything.
	if u.o.Store != nil && !u.probed {
		var known Secret
		if len(some) > 0 {
			known = some[0]
		}
		if err := u.o.Store.Save(ctx, known); err != nil {
			return nil, err
		}
		u.probed = true
	}
	return some, nil
}

// newer appends the store's token to tried if it has changed in the meantime.
func (u *OneUpUser) newer(ctx context.Context, tried []Secret) ([]Secret, error) {
	const maxTries = 10 // processes do not take turns forever
	if u.o.Store == nil || len(tried) >= maxTries {
		return tried, nil
	}
	stored, err := u.o.Store.Load(ctx)
	if err != nil || stored == "" || slices.Contains(tried, stored) {
		return tried, err
	}
	return append(tried, stored), nil
}

// code requests a code for the user.
func (u *OneUpUser) code(ctx context.Context) (Secret, error) {
	e := u.endpoint(u.o.CodeURL, "getting a user's code")
	answer, err := e.ask(ctx, func() (form, error) {
		return form{secrets: []string{string(u.o.ClientSecret)}, values: url.Values{
			u.o.Names.User:       {u.o.AppUserID},
			"client_id":          {u.o.ClientID},
			u.o.Names.CodeSecret: {string(u.o.ClientSecret)},
		}}, nil
	})
	if err != nil {
		return "", err
	}
	code := answer.text("code")
	if code == "" {
		return "", e.nonsense("the response contains no code", "check code_url, and whether the user app_user_id was created with this client")
	}
	return Secret(code), nil
}

// exchangeTimeout bounds getting a token, including pauses that the server asks for.
const exchangeTimeout = 30 * time.Second

// exchange exchanges a code or a refresh token for an access token, and keeps the refresh
// token that comes with it. The end of ctx does not cut it off: the server may already have
// replaced the refresh token, and only its response has the new one.
func (u *OneUpUser) exchange(ctx context.Context, grant, name string, value Secret) (Credential, error) {
	e := u.endpoint(u.o.TokenURL, "getting a token by "+name)
	limited, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), exchangeTimeout, &transport.Error{Kind: transport.Unavailable,
		Doing: e.doing, URL: e.url, Err: fmt.Errorf("no response within %v", exchangeTimeout), Hint: "run again later"})
	defer cancel()
	answer, err := e.ask(limited, func() (form, error) {
		return form{secrets: []string{string(u.o.ClientSecret), string(value)}, values: url.Values{
			"grant_type":          {grant},
			"client_id":           {u.o.ClientID},
			u.o.Names.TokenSecret: {string(u.o.ClientSecret)},
			name:                  {string(value)},
		}}, nil
	})
	if err != nil {
		return Credential{}, err
	}
	if next := Secret(answer.text("refresh_token")); next != "" {
		u.refresh = next
		if err := u.keep(ctx); err != nil {
			return Credential{}, err
		}
	}
	return e.bearer(answer, scopeWarning{})
}

// saveGrace is how long saving a refresh token may go on after its ctx has ended.
const saveGrace = 30 * time.Second

// keep saves the refresh token. The end of ctx must not lose it, since the old one is spent.
// But after that, a silent store does not hold the process up forever.
func (u *OneUpUser) keep(ctx context.Context) error {
	if u.o.Store == nil {
		return nil
	}
	saving, cancel := transport.Linger(ctx, saveGrace)
	defer cancel()
	err := u.o.Store.Save(saving, u.refresh)
	u.unsaved = err != nil
	if err != nil && u.o.AppUserID != "" { // the next run can get another with a code
		if u.o.Log != nil {
			u.o.Log.Warn("cannot save the new refresh token; the next run will request a code", "error", err)
		}
		return nil
	}
	if err != nil {
		return errors.Join(err, errors.New("the next run needs a new code or refresh_token"))
	}
	return nil
}

func (u *OneUpUser) endpoint(url, doing string) endpoint {
	return endpoint{url: url, doing: doing, http: u.o.HTTP, retry: u.o.Retry, log: u.o.Log, hints: map[string]string{
		"invalid_grant": "the code or refresh token has been used or has expired: get another, or set app_user_id",
		"":              "check client_id, client_secret and app_user_id, and compare the names and URLs in the auth section with 1upHealth's page",
	}}
}
