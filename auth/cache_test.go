package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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

func TestCacheWaiterCanceled(t *testing.T) {
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

// A caller whose context ends fails alone: one of those who wait fetches next.
func TestCacheFetcherCanceled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		cache := auth.NewCache(fetchFunc(func(ctx context.Context) (auth.Credential, error) {
			if fetches++; fetches == 1 {
				<-ctx.Done()
				return auth.Credential{}, context.Cause(ctx)
			}
			return auth.Bearer("x"), nil
		}))
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := cache.Credential(ctx)
			first <- err
		}()
		synctest.Wait()
		go func() {
			_, err := cache.Credential(t.Context())
			second <- err
		}()
		synctest.Wait()
		cancel(why)
		if err := <-first; err != why {
			t.Errorf("the first got %v, want the cause", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the second got %v", err)
		}
	})
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

// A wrong secret is one failed login, however many workers ask and however often.
func TestCacheKeepsARefusal(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	grant := grantAt(t, server.TokenURL())
	grant.ClientSecret = secret
	cache := auth.NewCache(grant)
	const times = 3
	var errs [16 * times]error
	var workers sync.WaitGroup
	for first := 0; first < len(errs); first += times {
		workers.Go(func() {
			for n := range times {
				var c auth.Credential
				c, errs[first+n] = cache.Credential(t.Context())
				cache.Reject(c)
			}
		})
	}
	workers.Wait()
	for _, err := range errs {
		wantError(t, err, transport.Denied, "invalid_client")
	}
	if n := len(server.Requests()); n != 1 {
		t.Errorf("%d failed logins, want 1", n)
	}
}

// A refusal is final only while the fetcher has no other secret: each caller after it asks, and a
// new secret is one more login.
func TestCacheRereads(t *testing.T) {
	t.Parallel()
	secrets := &rereader{server: "third", has: "first", fresh: []string{"", "second", "", "", "third"}}
	cache := auth.NewCache(secrets)
	for n, want := range []struct{ err, logins string }{
		{"first is refused", "first"},
		{"second is refused", "first second"}, // refused at once
		{"second is refused", "first second"}, // no login while nothing has changed
		{"", "first second third"},
	} {
		c, err := cache.Credential(t.Context())
		if got := fmt.Sprint(err); want.err != "" && !strings.Contains(got, want.err) || want.err == "" && (err != nil || authorization(c) != "Bearer third") {
			t.Errorf("%d: got %v, want %q", n, err, want.err)
		}
		if got := strings.Join(secrets.logins, " "); got != want.logins {
			t.Errorf("%d: logins with %s, want %s", n, got, want.logins)
		}
	}
	if _, err := cache.Credential(t.Context()); err != nil || len(secrets.logins) != 3 || len(secrets.fresh) != 0 {
		t.Errorf("got %v after logins with %s", err, secrets.logins)
	}
}

// rereader is an [auth.Rereader] with a server that takes one secret.
type rereader struct {
	server, has string
	fresh       []string // for each Reread, the secret that it finds, or ""
	logins      []string
}

func (r *rereader) Fetch(context.Context) (auth.Credential, error) {
	if r.logins = append(r.logins, r.has); r.has != r.server {
		return auth.Credential{}, &transport.Error{Kind: transport.Denied, Doing: "getting a token", Said: r.has + " is refused"}
	}
	return auth.Bearer(r.has), nil
}

func (r *rereader) Reread() bool {
	found := r.fresh[0]
	if r.fresh = r.fresh[1:]; found != "" {
		r.has = found
	}
	return found != ""
}

// Callers who waited for a fetch share its failure, and the next caller fetches again.
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
