package transport_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/transport"
)

func TestLinger(t *testing.T) {
	t.Parallel()
	why := errors.New("enough")
	for name, ended := range map[string]bool{"a context that ends": false, "one that has ended": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, end := context.WithCancelCause(t.Context())
				defer end(nil)
				if ended {
					end(why)
				}
				longer, cancel := transport.Linger(ctx, time.Minute)
				defer cancel()
				if !ended {
					time.Sleep(time.Hour)
					if longer.Err() != nil {
						t.Error("it ends while the other one lasts")
					}
					end(why)
				}
				began := time.Now()
				<-longer.Done()
				if took := time.Since(began); took != time.Minute || context.Cause(longer) != why {
					t.Errorf("it ends %v later, by %v", took, context.Cause(longer))
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // which waits for any goroutine that is left
		ctx, end := context.WithCancelCause(t.Context())
		longer, cancel := transport.Linger(ctx, time.Hour)
		end(why)
		began := time.Now()
		cancel()
		synctest.Wait()
		if longer.Err() == nil || time.Since(began) > 0 {
			t.Error("cancel does not end it at once")
		}
	})
}
