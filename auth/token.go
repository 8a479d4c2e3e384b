package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"fhirkiln/transport"
)

// fields are the members of a JSON object. Their types differ between servers.
type fields map[string]json.RawMessage

// text returns a field that is a string, or "" if it is not.
func (f fields) text(name string) string {
	var s string
	if json.Unmarshal(f[name], &s) != nil {
		return ""
	}
	return s
}

// seconds returns a field that is a positive number, or a string of one. Otherwise it
// returns 0.
func (f fields) seconds(name string) time.Duration {
	n, err := strconv.ParseFloat(strings.Trim(string(f[name]), `" `), 64)
	if err != nil || !(n > 0) { // NaN is not > 0
		return 0
	}
	const decade = 10 * 365 * 24 * 3600 // longer than anybody keeps a token, and it fits a Duration
	return time.Duration(min(n, decade) * float64(time.Second))
}

// grant requests a token for a scope with the forms of fill, to which it adds the scope. require
// makes it an error if less is granted; see checkScope.
func (e endpoint) grant(ctx context.Context, scope string, require bool, fill func() (form, error)) (Credential, error) {
	answer, err := e.ask(ctx, func() (form, error) {
		f, err := fill()
		if err == nil && scope != "" {
			f.values.Set("scope", scope)
		}
		return f, err
	})
	if err != nil {
		return Credential{}, err
	}
	warning, err := e.checkScope(answer, scope, require)
	if err != nil {
		return Credential{}, err
	}
	return e.bearer(answer, warning)
}

// bearer reads a token response (RFC 6749 5.1). Its lifetime counts from now on this machine's
// monotonic clock, so the server's clock does not matter.
func (e endpoint) bearer(answer fields, warning scopeWarning) (Credential, error) {
	token := answer.text("access_token")
	if token == "" {
		return Credential{}, e.nonsense("the response is not a token response (RFC 6749 5.1)",
			"check token_url: with Keycloak, it ends in …/protocol/openid-connect/token")
	}
	if !fitsHeader(token) {
		return Credential{}, &transport.Error{Kind: transport.Broken, Doing: e.doing, URL: e.url,
			Err: errors.New("the token has characters that no HTTP header can carry"), Hint: "ask the server's owner"}
	}
	c := Bearer(token)
	c.warning = warning
	if life := answer.seconds("expires_in"); life > 0 {
		c.expires = time.Now().Add(life)
	}
	return c, nil
}

// scopeWarning says that the granted scope differs from the requested one. The zero value is
// no warning.
type scopeWarning struct {
	granted string // cleaned for output
	log     func()
}

// checkScope compares the granted scopes with the requested ones, both separated by blanks.
// A server that names no scope has granted all of them (RFC 6749 5.1).
func (e endpoint) checkScope(answer fields, asked string, require bool) (scopeWarning, error) {
	scope := answer.text("scope")
	if scope == "" || asked == "" {
		return scopeWarning{}, nil
	}
	has, want := strings.Fields(scope), strings.Fields(asked)
	slices.Sort(has)
	slices.Sort(want)
	if slices.Equal(has, want) {
		return scopeWarning{}, nil
	}
	missing := slices.DeleteFunc(want, func(s string) bool { return slices.Contains(has, s) })
	shown := transport.Clean(scope)
	if require && len(missing) > 0 {
		return scopeWarning{}, &transport.Error{Kind: transport.Denied, Doing: e.doing, URL: e.url,
			Said: fmt.Sprintf("the granted scope %q lacks %q", shown, strings.Join(missing, " ")),
			Hint: "ask the server's owner for these scopes, change scope, or remove require_scope"}
	}
	return scopeWarning{shown, func() {
		if e.log != nil {
			e.log.Warn("the server granted a different scope than requested", "asked", asked, "granted", shown)
		}
	}}, nil
}

// clockHint returns a hint if the clocks differ enough to explain a refusal: assertions are
// valid only for minutes.
func clockHint(h http.Header) string {
	theirs, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return ""
	}
	if off := time.Since(theirs).Abs().Round(time.Minute); off >= time.Minute {
		return fmt.Sprintf("; this machine's clock and the server's differ by %v", off)
	}
	return ""
}
