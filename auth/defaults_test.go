package auth_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/auth"
)

// The defaults for 1upHealth's user management are the likeliest values.
func TestOneUpUserDefaults(t *testing.T) {
	t.Parallel()
	var got []string
	user := auth.NewOneUpUser(auth.OneUpUserOptions{AppUserID: "u", ClientID: "c", ClientSecret: secret,
		HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if err := r.ParseForm(); err != nil {
				return nil, err
			}
			got = append(got, r.Method+" "+r.URL.String()+" "+r.PostForm.Encode())
			return answer(r, 200, "application/json", `{"code":"d","access_token":"x","refresh_token":"r","expires_in":"7200"}`), nil
		})}})
	for range 2 {
		if _, err := user.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{
		"POST https://api.1up.health/user-management/v1/user/auth-code app_user_id=u&client_id=c&client_secret=" + secret,
		"POST https://auth.1up.health/oauth2/token client_id=c&client_secret=" + secret + "&code=d&grant_type=authorization_code",
		"POST https://auth.1up.health/oauth2/token client_id=c&client_secret=" + secret + "&grant_type=refresh_token&refresh_token=r",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is not made as documented fails with an error, neither hanging nor panicking.
func TestMisuse(t *testing.T) {
	t.Parallel()
	var zero auth.Cache
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := zero.Credential(ctx); err == nil || !strings.Contains(err.Error(), "NewCache") {
		t.Errorf("a zero Cache: %v", err)
	}
	for name, f := range map[string]auth.Fetcher{
		"client credentials": auth.ClientCredentials{TokenURL: "https://h.example/token"},
		"discovered":         auth.ClientCredentials{Discover: "https://h.example/r4"},
		"user":               auth.NewOneUpUser(auth.OneUpUserOptions{AppUserID: "u"}),
	} {
		if _, err := f.Fetch(ctx); err == nil || !strings.Contains(err.Error(), "HTTP client") {
			t.Errorf("%s without HTTP: %v", name, err)
		}
	}
}

// A token that expires as soon as it arrives costs one fetch per request, not a loop.
func TestCacheNeverLoops(t *testing.T) {
	t.Parallel()
	fetches := 0
	cache := auth.NewCache(auth.ClientCredentials{TokenURL: "https://h.example/token", ClientSecret: secret,
		HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			fetches++
			return answer(r, 200, "application/json", `{"access_token":"x","expires_in":0.000000001}`), nil
		})}})
	for n := range 5 {
		if _, err := cache.Credential(t.Context()); err != nil {
			t.Fatal(err)
		}
		if fetches > n+1 {
			t.Fatalf("%d fetches for %d requests", fetches, n+1)
		}
	}
}
