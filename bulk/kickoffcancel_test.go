package bulk_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
)

// A caller whose context ends during the kick-off still learns what the server has started.
// Nothing is sent after that.
func TestKickOffCanceled(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		do      bulktest.Behavior
		started bool
	}{
		"it starts":         {func(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }, true},
		"it is busy":        {bulktest.Respond(429, http.Header{"Retry-After": {"0"}}, ""), false},
		"it is down":        {bulktest.Respond(503, nil, ""), false},
		"it refuses":        {bulktest.Respond(400, nil, ""), false},
		"it goes elsewhere": {bulktest.Respond(307, http.Header{"Location": {"/fhir/Patient/$export"}}, ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t, bulktest.Options{})
			why := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				cancel(why)
				time.Sleep(50 * time.Millisecond) // long enough for a request to be cut off
				answer.do(w, r, next)
			}})
			job, err := newClient(t, server).KickOff(ctx, bulk.Request{Level: bulk.System})
			if answer.started && (err != nil || job.StatusURL == "") || !answer.started && err != why {
				t.Errorf("got %+v, %v", job, err)
			}
			if n := len(requestsOf(server, bulktest.KickOffEndpoint)); n != 1 {
				t.Errorf("got %d kick-offs", n)
			}
		})
	}
}

// A redirect of the kick-off that arrives after the end of ctx is not followed.
func TestKickOffCanceledGoesNoFurther(t *testing.T) {
	t.Parallel()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	sent := 0
	c, err := bulk.New(bulk.Options{Base: "https://h.example/fhir", HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		sent++
		cancel(why)
		return &http.Response{StatusCode: 307, Header: http.Header{"Location": {"https://h.example/other"}}, Body: http.NoBody, Request: r}, nil
	})}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.KickOff(ctx, bulk.Request{Level: bulk.System}); err != why || sent != 1 {
		t.Errorf("sent %d times: %v", sent, err)
	}
}

// The wait for a server that does not answer, or cannot be reached, is bounded.
func TestKickOffCanceledEndsInTime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sent bool
		want time.Duration
	}{"sent": {true, 30 * time.Second}, "not sent": {false, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, err := bulk.New(bulk.Options{Base: "https://h.example/fhir", HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if test.sent {
						httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
					}
					<-r.Context().Done()
					return nil, r.Context().Err()
				})}})
				if err != nil {
					t.Fatal(err)
				}
				why := errors.New("enough")
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Minute, func() { cancel(why) })
				began := time.Now()
				_, err = c.KickOff(ctx, bulk.Request{Level: bulk.System})
				if took := time.Since(began) - time.Minute; err != why || took != test.want {
					t.Errorf("%v after the cancel: %v", took, err)
				}
			})
		})
	}
}
