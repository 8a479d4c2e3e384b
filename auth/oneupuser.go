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

// OneUpUser gets the token of one user of 1upHealth's user management: a code by the
// client's id and secret and the user's id, for the code a token and a refresh token,
// and with the refresh token the next ones. Make it with [NewOneUpUser].
type OneUpUser struct {
	o        OneUpUserOptions
	refresh  Secret // the last that the server gave
	unsaved  bool   // the store does not have it
	probed   bool   // the store can be written
	codeSent bool   // a code is good once
}

// OneUpUserOptions say which user, and where. ClientID, ClientSecret, HTTP and one of
// AppUserID, Code, RefreshToken or a filled Store are required.
type OneUpUserOptions struct {
	// CodeURL gives codes. Default https://api.1up.health/user-management/v1/user/auth-code.
	CodeURL string

	// TokenURL gives tokens. Default https://auth.1up.health/oauth2/token.
	TokenURL string

	ClientID     string
	ClientSecret Secret

	// AppUserID is the client's own id of the user. With it, a code can be had whenever
	// no refresh token is good; without, somebody else has to get the first code or
	// refresh token.
	AppUserID string

	// Code and RefreshToken were got elsewhere. A code is good once, for two hours. They
	// are used where Store has nothing better.
	Code, RefreshToken Secret

	// Store keeps the refresh token from run to run. Nil keeps it for this run alone.
	Store TokenStore

	// Names are how the requests spell things.
	Names OneUpNames

	// HTTP, Retry and Log are as those of [ClientCredentials].
	HTTP  *http.Client
	Retry transport.Retry
	Log   *slog.Logger
}

// OneUpNames are the names of parameters and the grant types, on which 1upHealth's
// pages are not of one mind. The zero value is the likeliest.
type OneUpNames struct {
	User         string // of the user's id where a code is asked for. Default app_user_id
	CodeSecret   string // of the client's secret where a code is asked for. Default client_secret
	TokenSecret  string // of the client's secret where a token is asked for. Default client_secret
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

// Format implements [fmt.Formatter], so that no verb prints the secrets.
func (OneUpUser) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[credentials of a user]") }

// Fetch implements [Fetcher]: by the refresh token if there is a good one, else by
// code. Failures are those of [ClientCredentials.Fetch], and the store's. Not for
// several goroutines at once.
func (u *OneUpUser) Fetch(ctx context.Context) (Credential, error) {
	refresh, err := u.refreshTokens(ctx)
	if err != nil {
		return Credential{}, err
	}
	var refused error
	for tried := 0; tried < len(refresh); tried++ {
		token := refresh[tried]
		c, err := u.exchange(ctx, u.o.Names.RefreshGrant, "refresh_token", token)
		if !isDenied(err) || u.refresh != "" && errors.Is(err, errGateway) { // which says nothing of the token
			return c, err
		}
		refused = err
		if tried+1 == len(refresh) {
			// Another process may have used it since, and saved the next.
			if refresh, err = u.newer(ctx, refresh); err != nil {
				return Credential{}, err
			}
		}
	}
	if u.o.Code != "" && !u.codeSent {
		c, err := u.exchange(ctx, u.o.Names.CodeGrant, "code", u.o.Code)
		u.codeSent = err == nil || isDenied(err)
		if !isDenied(err) {
			return c, err
		}
		refused = err
	}
	if u.o.AppUserID == "" {
		if refused == nil {
			refused = &transport.Error{Kind: transport.Denied, Doing: "getting a token", Err: errors.New("there is no refresh token, and no code that was not used"),
				Hint: "give app_user_id, or a code or refresh_token that was got elsewhere"}
		}
		return Credential{}, refused
	}
	code, err := u.code(ctx)
	if err != nil {
		return Credential{}, err
	}
	return u.exchange(ctx, u.o.Names.CodeGrant, "code", code)
}

// refreshTokens are those that may be good, the likeliest first: the store's, to which
// another process may have saved a newer one, this run's, and the user's.
func (u *OneUpUser) refreshTokens(ctx context.Context) ([]Secret, error) {
	tokens := []Secret{u.refresh, u.o.RefreshToken}
	if u.o.Store != nil {
		stored, err := u.o.Store.Load(ctx)
		if err != nil {
			return nil, err
		}
		place := 0
		if u.unsaved {
			place = 1 // the stored one is spent; servers may punish its use
		}
		tokens = slices.Insert(tokens, place, stored)
	}
	var some []Secret
	for _, t := range tokens {
		if t != "" && !slices.Contains(some, t) {
			some = append(some, t)
		}
	}
	// The server takes the old token away when it gives the new one. So the store must
	// show that it can be written before anything is spent.
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

// newer adds the store's token to those that were tried, if it is another by now.
func (u *OneUpUser) newer(ctx context.Context, tried []Secret) ([]Secret, error) {
	const most = 10 // processes do not take turns for ever
	if u.o.Store == nil || len(tried) >= most {
		return tried, nil
	}
	stored, err := u.o.Store.Load(ctx)
	if err != nil || stored == "" || slices.Contains(tried, stored) {
		return tried, err
	}
	return append(tried, stored), nil
}

// code asks for a code of the user.
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
		return "", e.nonsense("the answer holds no code", "check code_url, and that the user app_user_id was made with this client")
	}
	return Secret(code), nil
}

// exchangeTime is how long it may take to get a token, waiting as the server asks included.
const exchangeTime = 30 * time.Second

// exchange gives a code or a refresh token for a token, and keeps the refresh token
// that comes with it. A ctx that ends does not cut it off: the server may have replaced
// the refresh token already, and only its answer has the new one.
func (u *OneUpUser) exchange(ctx context.Context, grant, name string, value Secret) (Credential, error) {
	e := u.endpoint(u.o.TokenURL, "getting a token by "+name)
	limited, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), exchangeTime, &transport.Error{Kind: transport.Unavailable,
		Doing: e.doing, URL: e.url, Err: fmt.Errorf("no answer within %v", exchangeTime), Hint: "run again later"})
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
	return e.bearer(answer, remark{})
}

// savingTime is how long after the end of its ctx a refresh token is still being saved.
const savingTime = 30 * time.Second

// keep saves the refresh token. A ctx that ends must not lose it: the old one is spent. But a
// store that is silent then does not keep the process for ever.
func (u *OneUpUser) keep(ctx context.Context) error {
	if u.o.Store == nil {
		return nil
	}
	saving, cancel := transport.Linger(ctx, savingTime)
	defer cancel()
	err := u.o.Store.Save(saving, u.refresh)
	u.unsaved = err != nil
	if err != nil && u.o.AppUserID != "" { // the next run can get another by code
		if u.o.Log != nil {
			u.o.Log.Warn("the new refresh token is not saved; the next run asks for a code", "error", err)
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
		"invalid_grant": "the code or refresh token is used up or too old: get another, or give app_user_id",
		"":              "check client_id, client_secret and app_user_id, and names and URLs of the auth section with 1upHealth's page",
	}}
}
