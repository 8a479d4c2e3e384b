package auth

import (
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

// fields are those of a JSON object. Servers differ in their types.
type fields map[string]json.RawMessage

// text is a field that is a string, "" for any other.
func (f fields) text(name string) string {
	var s string
	if json.Unmarshal(f[name], &s) != nil {
		return ""
	}
	return s
}

// seconds is a field that is a positive number, or a string of one; 0 for any other.
func (f fields) seconds(name string) time.Duration {
	n, err := strconv.ParseFloat(strings.Trim(string(f[name]), `" `), 64)
	if err != nil || !(n > 0) { // NaN is not
		return 0
	}
	const decade = 10 * 365 * 24 * 3600 // nobody keeps a token longer, and it fits a Duration
	return time.Duration(min(n, decade) * float64(time.Second))
}

// bearer reads a token response (RFC 6749 5.1). Its end is counted from now, on this
// machine's monotonic clock: no clock of the server's matters.
func (e endpoint) bearer(answer fields, note remark) (Credential, error) {
	token := answer.text("access_token")
	if token == "" {
		return Credential{}, e.nonsense("the answer is not a token response (RFC 6749 5.1)",
			"check token_url: it should end in …/protocol/openid-connect/token on a Keycloak")
	}
	if !fitsHeader(token) {
		return Credential{}, &transport.Error{Kind: transport.Broken, Doing: e.doing, URL: e.url,
			Err: errors.New("the token has characters that no HTTP header can carry"), Hint: "ask the server's owner"}
	}
	c := Bearer(token)
	c.remark = note
	if life := answer.seconds("expires_in"); life > 0 {
		c.expires = time.Now().Add(life)
	}
	return c, nil
}

// remark is on a scope other than the asked one; zero is none.
type remark struct {
	granted string // as it may be shown
	say     func()
}

// checkScope compares what was granted with what was asked for, blanks between scopes.
// A server that says nothing has granted it all (RFC 6749 5.1).
func (e endpoint) checkScope(answer fields, asked string, require bool) (remark, error) {
	scope := answer.text("scope")
	if scope == "" || asked == "" {
		return remark{}, nil
	}
	has, want := strings.Fields(scope), strings.Fields(asked)
	slices.Sort(has)
	slices.Sort(want)
	if slices.Equal(has, want) {
		return remark{}, nil
	}
	missing := slices.DeleteFunc(want, func(s string) bool { return slices.Contains(has, s) })
	shown := transport.Clean(scope)
	if require && len(missing) > 0 {
		return remark{}, &transport.Error{Kind: transport.Denied, Doing: e.doing, URL: e.url,
			Said: fmt.Sprintf("the scope %q was granted, which lacks %q", shown, strings.Join(missing, " ")),
			Hint: "ask the server's owner for these scopes, change scope, or leave out require_scope"}
	}
	return remark{shown, func() {
		if e.log != nil {
			e.log.Warn("the server granted another scope than was asked for", "asked", asked, "granted", shown)
		}
	}}, nil
}

// clockHint is a word on clocks where a refusal may come from one that is wrong:
// assertions are good for minutes.
func clockHint(h http.Header) string {
	theirs, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return ""
	}
	if off := time.Since(theirs).Abs().Round(time.Minute); off >= time.Minute {
		return fmt.Sprintf("; this machine's clock and the server's are %v apart", off)
	}
	return ""
}
