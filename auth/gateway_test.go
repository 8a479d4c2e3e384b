package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/auth"
	"fhirkiln/transport"
)

// A firewall that blocks the token endpoint in mid-run is an outage; before the first token,
// its 403 is a refusal, and the request is not repeated.
func TestCacheOutlastsAGateway(t *testing.T) {
	t.Parallel()
	const page, refusal = "\n<html>blocked</html>", `{"error":"unauthorized_client"}`
	for _, test := range []struct {
		name     string
		before   bool // a token was granted before
		status   int
		body     string
		times    int // how often this is the response, before a token is
		kind     transport.Kind
		requests int           // after the first token
		within   time.Duration // how long it may take
	}{
		{"page, first", false, 403, page, 100, transport.Denied, 1, 0},
		{"page", true, 403, page, 3, -1, 4, time.Minute},
		{"nothing", true, 403, "", 1, -1, 2, 2 * time.Second},
		{"page for long", true, 403, page, 100, transport.Unavailable, 5, time.Minute},
		{"OAuth's own refusal", true, 403, refusal, 100, transport.Denied, 1, 0},
		{"an API gateway's JSON", true, 403, `{"message":"Forbidden"}`, 1, -1, 2, 2 * time.Second},
		{"401 page", true, 401, page, 100, transport.Denied, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				requests, bad := 0, 0
				cache := auth.NewCache(auth.ClientCredentials{TokenURL: "https://h.example/token", ClientSecret: secret,
					HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						requests++
						if bad > 0 {
							bad--
							return answer(r, test.status, "text/html", test.body), nil
						}
						return answer(r, 200, "application/json", `{"access_token":"x"}`), nil
					})}})
				if test.before {
					c, err := cache.Credential(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					cache.Reject(c)
				}
				requests, bad = 0, test.times
				began := time.Now()
				c, err := cache.Credential(t.Context())
				if test.kind >= 0 {
					e := wantError(t, err, test.kind, "getting a token at https://h.example/token")
					if outage := test.kind == transport.Unavailable; strings.Contains(e.Hint, "firewall") != outage || strings.Contains(e.Hint, "clock") {
						t.Errorf("the hint is %q", e.Hint) // the responses have no Date to compare clocks with
					}
				} else if err != nil || authorization(c) != "Bearer x" {
					t.Errorf("got %q, %v", authorization(c), err)
				}
				if took := time.Since(began); requests != test.requests || took > test.within {
					t.Errorf("%d requests within %v, want %d within %v", requests, took, test.requests, test.within)
				}
				// An outage is forgotten, a refusal kept.
				requests, bad = 0, 0
				_, err = cache.Credential(t.Context())
				if kept := test.kind == transport.Denied; kept != (err != nil) || kept && requests > 0 {
					t.Errorf("the next got %v after %d requests", err, requests)
				}
			})
		})
	}
}

// A caller who gives up while a gateway is waited out gets the reason, and fails alone.
func TestCacheCanceledDuringAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		blocked := false
		cache := auth.NewCache(auth.ClientCredentials{TokenURL: "https://h.example/token",
			HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if blocked {
					return answer(r, 403, "text/html", "<html>"), nil
				}
				return answer(r, 200, "application/json", `{"access_token":"x"}`), nil
			})}})
		c, err := cache.Credential(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cache.Reject(c)
		blocked = true
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(why) })
		if _, err := cache.Credential(ctx); err != why {
			t.Errorf("got %v, want the cause", err)
		}
		blocked = false
		if _, err := cache.Credential(t.Context()); err != nil {
			t.Errorf("the next got %v", err)
		}
	})
}

// The firewall did not refuse the refresh token: it is sent again, and no code is requested.
func TestOneUpUserOutlastsAGateway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var grants []string
		o := auth.OneUpUserOptions{AppUserID: "u", ClientSecret: secret, HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			form, err := url.ParseQuery(string(body))
			if err != nil {
				return nil, err
			}
			grants = append(grants, form.Get("grant_type"))
			switch len(grants) {
			case 1:
				return answer(r, 200, "application/json", `{"code":"c"}`), nil
			case 3:
				return answer(r, 403, "text/html", "<html>"), nil
			}
			return answer(r, 200, "application/json", `{"access_token":"x","refresh_token":"r"}`), nil
		})}}
		cache := auth.NewCache(auth.NewOneUpUser(o))
		for range 2 {
			c, err := cache.Credential(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			cache.Reject(c)
		}
		wantAsked(t, grants, "", codeGrant, refreshGrant, refreshGrant)
	})
}
