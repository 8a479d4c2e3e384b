package bulktest

import (
	"crypto/subtle"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// tokens holds the access tokens that were issued and are not known to have expired.
type tokens struct {
	mu      sync.Mutex
	expires map[string]time.Time
}

// issue creates a token valid until expires, and removes those that have expired by now.
func (t *tokens) issue(now, expires time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.expires == nil {
		t.expires = make(map[string]time.Time)
	}
	for token, end := range t.expires {
		if !now.Before(end) {
			delete(t.expires, token)
		}
	}
	token := randomID()
	t.expires[token] = expires
	return token
}

func (t *tokens) valid(token string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	end, ok := t.expires[token]
	return ok && now.Before(end)
}

func (t *tokens) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.expires)
}

// tokenError is an error response of RFC 6749, section 5.2.
type tokenError struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// send writes the error. By the RFC, a client that tried the Authorization header must be told
// the scheme.
func (e tokenError) send(w http.ResponseWriter, r *http.Request) {
	if e.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="bulktest"`)
	}
	writeJSON(w, e.status, "application/json", e)
}

// token is the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	form, failed := tokenForm(r)
	if failed == nil {
		failed = s.checkGrant(form)
	}
	if failed != nil {
		failed.send(w, r)
		return nil
	}
	now := s.o.Now()
	writeJSON(w, http.StatusOK, "application/json", struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
		Scope       string `json:"scope"`
	}{s.tokens.issue(now, now.Add(s.o.TokenTTL)), "Bearer", int64(s.o.TokenTTL / time.Second), s.o.Scope})
	return nil
}

// tokenForm reads the form from the body, even of a GET, where [http.Request.ParseForm] would
// not look. It ignores the URL: secrets have no business there.
func tokenForm(r *http.Request) (url.Values, *tokenError) {
	bad := func(format string, args ...any) (url.Values, *tokenError) {
		return nil, &tokenError{http.StatusBadRequest, "invalid_request", fmt.Sprintf(format, args...)}
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return bad("the body must be application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return bad("the body cannot be read")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return bad("the body is not a form: %v", err)
	}
	for name, values := range form {
		if len(values) > 1 {
			return bad("%s is given more than once", name)
		}
	}
	return form, nil
}

// checkGrant says what is wrong with a token request, or nil. A parameter without a value counts
// as omitted (RFC 6749, section 3.2).
func (s *Server) checkGrant(form url.Values) *tokenError {
	switch grant := form.Get("grant_type"); {
	case grant == "":
		return &tokenError{http.StatusBadRequest, "invalid_request", "grant_type is missing"}
	case grant != "client_credentials":
		return &tokenError{http.StatusBadRequest, "unsupported_grant_type", "only client_credentials is supported"}
	}
	// Always compare both, so that the time reveals nothing.
	id := subtle.ConstantTimeCompare([]byte(form.Get("client_id")), []byte(s.o.ClientID))
	secret := subtle.ConstantTimeCompare([]byte(form.Get("client_secret")), []byte(s.o.ClientSecret))
	if id&secret != 1 {
		return &tokenError{http.StatusUnauthorized, "invalid_client", "unknown client_id or wrong client_secret; both belong in the form"}
	}
	if form.Get("scope") != s.o.Scope {
		return &tokenError{http.StatusBadRequest, "invalid_scope", "the scope must be " + s.o.Scope}
	}
	return nil
}

// authorize refuses a request without a valid bearer token with 401.
func (s *Server) authorize(r *http.Request) error {
	if s.o.NoAuth {
		return nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return refuse(http.StatusUnauthorized, "login", "a bearer token is needed")
	case !s.tokens.valid(strings.TrimSpace(token), s.o.Now()):
		return refuse(http.StatusUnauthorized, "expired", "the token is unknown or has expired")
	}
	return nil
}
