package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/auth"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

func TestCacheFetchesOnceForMany(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	cache := auth.NewCache(grantAt(t, server.TokenURL()))
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests before anybody asked", n)
	}
	got := make([]string, 50)
	var workers sync.WaitGroup
	for i := range got {
		workers.Go(func() {
			c, err := cache.Credential(t.Context())
			if err != nil {
				t.Error(err)
			}
			got[i] = authorization(c)
		})
	}
	workers.Wait()
	for _, a := range got {
		if a == "" || a != got[0] {
			t.Errorf("got %q and %q", got[0], a)
		}
	}
	if n := len(server.Requests()); n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}
}

// A token is renewed 30 s before its end, or a fifth of its life if that is shorter.
func TestCacheRenewsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		expiresIn string
		good      time.Duration // how long it is given out; 0 is for ever
	}{
		{`,"expires_in":300`, 270 * time.Second},
		{`,"expires_in":"300"`, 270 * time.Second},
		{`,"expires_in":7200`, 7170 * time.Second},
		{`,"expires_in":60`, 48 * time.Second},
		{`,"expires_in":10`, 8 * time.Second},
		{``, 0},
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

func TestCacheWaiterMayLeave(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	cache := auth.NewCache(fetchFunc(func(context.Context) (auth.Credential, error) {
		close(started)
		<-release
		return auth.Bearer("x"), nil
	}))
	fetched := make(chan error)
	go func() {
		_, err := cache.Credential(t.Context())
		fetched <- err
	}()
	<-started
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	waited := make(chan error)
	go func() {
		_, err := cache.Credential(ctx)
		waited <- err
	}()
	cancel(why)
	if err := <-waited; err != why {
		t.Errorf("the waiter got %v, want the cause", err)
	}
	close(release)
	if err := <-fetched; err != nil {
		t.Errorf("the one who fetched got %v", err)
	}
}

// The one whose context ends takes nobody along: the next fetches on its own.
func TestCacheFetcherMayLeave(t *testing.T) {
	t.Parallel()
	started := make(chan struct{}, 1)
	var fetches atomic.Int64
	cache := auth.NewCache(fetchFunc(func(ctx context.Context) (auth.Credential, error) {
		if fetches.Add(1) == 1 {
			started <- struct{}{}
			<-ctx.Done()
			return auth.Credential{}, context.Cause(ctx)
		}
		return auth.Bearer("x"), nil
	}))
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	first, second := make(chan error), make(chan error)
	go func() {
		_, err := cache.Credential(ctx)
		first <- err
	}()
	<-started
	go func() {
		_, err := cache.Credential(t.Context())
		second <- err
	}()
	cancel(why)
	if err := <-first; err != why {
		t.Errorf("the first got %v, want the cause", err)
	}
	if err := <-second; err != nil {
		t.Errorf("the second got %v", err)
	}
}

func TestCacheForgetsErrors(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	fetches := 0
	cache := auth.NewCache(fetchFunc(func(context.Context) (auth.Credential, error) {
		if fetches++; fetches <= 2 {
			return auth.Credential{}, down
		}
		return auth.Bearer("x"), nil
	}))
	for range 2 {
		if _, err := cache.Credential(t.Context()); err != down {
			t.Errorf("got %v", err)
		}
	}
	if c, err := cache.Credential(t.Context()); err != nil || authorization(c) != "Bearer x" {
		t.Errorf("got %q, %v", authorization(c), err)
	}
}

// A wrong secret is one failed login, however many workers ask and go on asking.
func TestCacheKeepsARefusal(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	grant := grantAt(t, server.TokenURL())
	grant.ClientSecret = secret
	cache := auth.NewCache(grant)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for range 3 {
				c, err := cache.Credential(t.Context())
				wantError(t, err, transport.Denied, "invalid_client")
				cache.Reject(c)
			}
		})
	}
	workers.Wait()
	if n := len(server.Requests()); n != 1 {
		t.Errorf("%d failed logins, want 1", n)
	}
}

// Those who waited for a fetch share its failure, and the next asks again.
func TestCacheSharesAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		fetches := 0
		cache := auth.NewCache(fetchFunc(func(context.Context) (auth.Credential, error) {
			if fetches++; fetches == 1 {
				time.Sleep(time.Minute)
				return auth.Credential{}, down
			}
			return auth.Bearer("x"), nil
		}))
		var workers sync.WaitGroup
		for range 16 {
			workers.Go(func() {
				if _, err := cache.Credential(t.Context()); err != down {
					t.Errorf("got %v", err)
				}
			})
		}
		workers.Wait()
		if fetches != 1 {
			t.Errorf("%d fetches, want 1", fetches)
		}
		if _, err := cache.Credential(t.Context()); err != nil {
			t.Errorf("the next got %v", err)
		}
	})
}

// Reject has no context, so it must not wait for a server.
func TestCacheRejectsDuringAFetch(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	fetches := 0
	cache := auth.NewCache(fetchFunc(func(context.Context) (auth.Credential, error) {
		if fetches++; fetches == 2 {
			close(started)
			<-release
		}
		return auth.Bearer(fmt.Sprint("token-", fetches)), nil
	}))
	first, err := cache.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cache.Reject(first)
	fetched := make(chan auth.Credential)
	go func() {
		c, _ := cache.Credential(t.Context())
		fetched <- c
	}()
	<-started
	cache.Reject(first) // hangs here if it waits
	close(release)
	if got := authorization(<-fetched); got != "Bearer token-2" {
		t.Errorf("got %q", got)
	}
	if c, err := cache.Credential(t.Context()); authorization(c) != "Bearer token-2" {
		t.Errorf("got %q, %v", authorization(c), err)
	}
}
