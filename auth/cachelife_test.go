package auth_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/auth"
)

// A token is renewed 30 s before its end, or a fifth of its life if that is shorter.
func TestCacheRenewsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		expiresIn string
		good      time.Duration // how long it is given out; 0 means forever
	}{
		{`,"expires_in":300`, 270 * time.Second},
		{`,"expires_in":"300"`, 270 * time.Second},
		{`,"expires_in":7200`, 7170 * time.Second},
		{`,"expires_in":60`, 48 * time.Second},
		{`,"expires_in":10`, 8 * time.Second},
		{`,"expires_in":1e300`, 10*365*24*time.Hour - 30*time.Second},
		{``, 0},
		{`,"expires_in":-300`, 0},
		{`,"expires_in":"NaN"`, 0},
		{`,"expires_in":"soon"`, 0},
		{`,"expires_in":0`, 0},
	} {
		t.Run(test.expiresIn, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fetches := 0
				cache := auth.NewCache(auth.ClientCredentials{TokenURL: "https://h.example/token",
					HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						fetches++
						return answer(r, 200, "application/json", fmt.Sprintf(`{"access_token":"token-%d"%s}`, fetches, test.expiresIn)), nil
					})}})
				ask := func(want string) {
					t.Helper()
					c, err := cache.Credential(t.Context())
					if got := authorization(c); err != nil || got != want {
						t.Errorf("after %v: got %q, %v, want %q", time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)), got, err, want)
					}
				}
				ask("Bearer token-1")
				if test.good == 0 {
					time.Sleep(1000 * time.Hour)
					ask("Bearer token-1")
					return
				}
				time.Sleep(test.good)
				ask("Bearer token-1")
				time.Sleep(time.Nanosecond)
				ask("Bearer token-2")
				time.Sleep(test.good)
				ask("Bearer token-2")
				time.Sleep(time.Hour * 24)
				ask("Bearer token-3")
			})
		})
	}
}

func TestCacheRenewsOnceForManyRejections(t *testing.T) {
	t.Parallel()
	var fetches atomic.Int64
	cache := auth.NewCache(numbered(&fetches))
	first, err := cache.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var workers sync.WaitGroup
	for range 20 {
		workers.Go(func() {
			cache.Reject(first)
			c, err := cache.Credential(t.Context())
			if got := authorization(c); err != nil || got != "Bearer token-2" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	workers.Wait()
	if fetches.Load() != 2 {
		t.Errorf("%d fetches, want 2", fetches.Load())
	}
}

func TestCacheIgnoresLateRejections(t *testing.T) {
	t.Parallel()
	var fetches atomic.Int64
	cache := auth.NewCache(numbered(&fetches))
	first, err := cache.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cache.Reject(first)
	cache.Reject(first)
	for range 2 {
		c, err := cache.Credential(t.Context())
		if got := authorization(c); err != nil || got != "Bearer token-2" {
			t.Errorf("got %q, %v", got, err)
		}
		cache.Reject(first)
		cache.Reject(auth.Bearer("token-2")) // not one that the cache gave
	}
}
