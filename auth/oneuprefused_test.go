package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fhirkiln/auth"
	"fhirkiln/transport"
)

// An outage says nothing about the refresh token: no code is spent instead.
func TestOneUpUserKeepsItsTokenInAnOutage(t *testing.T) {
	t.Parallel()
	s := newOneUp(t)
	var asked []string
	down := serve(t, func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		asked = append(asked, r.PostForm.Get("grant_type"))
		w.WriteHeader(http.StatusBadGateway)
	})
	o := s.options(t)
	o.RefreshToken, o.Code = auth.Secret(s.make("refresh")), auth.Secret(s.make("code"))
	var log bytes.Buffer
	o.TokenURL, o.Log = down, slog.New(slog.NewTextHandler(&log, nil))
	o.Retry.Max = 2
	_, err := auth.NewOneUpUser(o).Fetch(t.Context())
	wantError(t, err, transport.Unavailable, "getting a token by refresh_token", "502")
	wantAsked(t, asked, refreshGrant, refreshGrant, refreshGrant)
	wantAsked(t, s.asked)
	if strings.Count(log.String(), "status=502") != 3 {
		t.Errorf("got the log %q", log.String())
	}
}

// Before the first token, a 403 like a gateway's may be how this server refuses an old one.
func TestOneUpUserRefusedByAGateway(t *testing.T) {
	t.Parallel()
	s := newOneUp(t)
	o := s.options(t)
	o.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(body), refreshGrant) {
			return answer(r, 403, "text/html", "<html>"), nil
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return newClient(t).Transport.RoundTrip(r)
	})}
	o.RefreshToken = "S3CR3T-old"
	wantAsked(t, s.fetch(t, auth.NewOneUpUser(o)), "code", codeGrant)
}

// A refused code is not sent again, however it was used up.
func TestOneUpUserSendsACodeOnce(t *testing.T) {
	t.Parallel()
	s := newOneUp(t)
	o := s.options(t)
	o.AppUserID, o.Code = "", "S3CR3T-code"
	user := auth.NewOneUpUser(o)
	for _, said := range []string{"invalid_grant", "no unused code"} {
		_, err := user.Fetch(t.Context())
		wantError(t, err, transport.Denied, said)
	}
	wantAsked(t, s.asked, codeGrant)
}

// told is a store whose nth Load returns the nth token, and the last one from then on; "!" is
// a failure.
type told []string

func (s *told) Load(context.Context) (auth.Secret, error) {
	token := (*s)[0]
	if len(*s) > 1 {
		*s = (*s)[1:]
	}
	if token == "!" {
		return "", errors.New("the store is away")
	}
	return auth.Secret(token), nil
}

func (s *told) Save(context.Context, auth.Secret) error { return nil }

// A refused refresh token may have been used by another process, which has saved the next.
func TestOneUpUserLooksIntoTheStoreAgain(t *testing.T) {
	t.Parallel()
	s := newOneUp(t)
	var many told
	for i := range 30 {
		many = append(many, fmt.Sprint("S3CR3T-", i))
	}
	ten := []string{refreshGrant, refreshGrant, refreshGrant, refreshGrant, refreshGrant, refreshGrant, refreshGrant, refreshGrant, refreshGrant, refreshGrant}
	for _, test := range []struct {
		name  string
		store told
		given auth.Secret
		asked []string
		fails bool
	}{
		{"the next is there", told{"S3CR3T-old", s.make("refresh")}, "", []string{refreshGrant, refreshGrant}, false},
		{"the same is there", told{"S3CR3T-old"}, "S3CR3T-old", []string{refreshGrant, "code", codeGrant}, false},
		{"none is there any more", told{"S3CR3T-old", ""}, "", []string{refreshGrant, "code", codeGrant}, false},
		{"it fails then", told{"S3CR3T-old", "!"}, "", []string{refreshGrant}, true},
		{"it fails at once", told{"!"}, "S3CR3T-old", nil, true},
		{"always another", many, "", append(ten, "code", codeGrant), false},
	} {
		t.Run(test.name, func(t *testing.T) { // not parallel: they share the server's asked
			o := s.options(t)
			o.Store, o.RefreshToken = &test.store, test.given
			user := auth.NewOneUpUser(o)
			if !test.fails {
				wantAsked(t, s.fetch(t, user), test.asked...)
				return
			}
			s.asked = nil
			if _, err := user.Fetch(t.Context()); err == nil || err.Error() != "the store is away" {
				t.Errorf("got %v", err)
			}
			wantAsked(t, s.asked, test.asked...)
		})
	}
}

// A token that cannot be saved is logged, if the next run can do without it.
func TestOneUpUserWarnsOfAnUnsavedToken(t *testing.T) {
	t.Parallel()
	s := newOneUp(t)
	var log bytes.Buffer
	o := s.options(t)
	o.Store, o.Log = &badStore{n: 1}, slog.New(slog.NewTextHandler(&log, nil))
	wantAsked(t, s.fetch(t, auth.NewOneUpUser(o)), "code", codeGrant)
	if lines := log.String(); strings.Count(lines, "level=WARN") != 1 || !strings.Contains(lines, "cannot save the new refresh token") || !strings.Contains(lines, "disk full") || strings.Contains(lines, secret) {
		t.Errorf("got the log %q", lines)
	}
}

func TestTokenFileInAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := auth.TokenFile(filepath.Join(file, "refresh")).Save(t.Context(), secret); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}
