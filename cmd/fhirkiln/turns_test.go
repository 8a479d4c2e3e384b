package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := turns{limit: 1}
		take := func(ctx context.Context, there bool) (done func()) {
			done, err := all.take(ctx, there)
			if err != nil {
				t.Error(err)
			}
			return done
		}
		first := take(t.Context(), false)
		there := take(t.Context(), true) // at once

		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			if _, err := all.take(ctx, false); err != why {
				t.Errorf("got %v, want the cause", err)
			}
		}()
		synctest.Wait()
		order := ""
		var others sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			others.Go(func() {
				done := take(t.Context(), false)
				order += name
				time.Sleep(time.Second) // nobody else has a turn meanwhile
				order += "."
				done()
			})
			synctest.Wait()
		}
		cancel(why)
		first()
		first() // a second call does nothing
		synctest.Wait()
		if order != "" {
			t.Errorf("%s had a turn beside one that is there", order)
		}
		there()
		others.Wait()
		if order != "a.b." || all.taken != 0 || len(all.waiting) != 0 {
			t.Errorf("turns came as %s; %d are taken, %d wait", order, all.taken, len(all.waiting))
		}
	})
}
