package setup

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/config"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := NewTurns(1)
		take := func(ctx context.Context, there bool) (done func()) {
			done, err := all.Take(ctx, there)
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
			if _, err := all.Take(ctx, false); err != why {
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

func TestInterleave(t *testing.T) {
	t.Parallel()
	var feeds []config.Feed
	for _, name := range []string{"a1", "a2", "a3", "b1", "c1", "c2"} {
		feeds = append(feeds, config.Feed{Name: name, Source: name[:1]})
	}
	var got []string
	for _, f := range Interleave(feeds) {
		got = append(got, f.Name)
	}
	if diff := cmp.Diff([]string{"a1", "b1", "c1", "a2", "c2", "a3"}, got); diff != "" {
		t.Error(diff)
	}
}
