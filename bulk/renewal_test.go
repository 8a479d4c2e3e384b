package bulk_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

// outOfOrder are credentials whose token endpoint is down some of the time.
type outOfOrder struct {
	*auth.Cache
	down atomic.Int64 // how many more times
	kind transport.Kind
}

func (o *outOfOrder) Credential(ctx context.Context) (auth.Credential, error) {
	if o.down.Add(-1) >= 0 {
		return auth.Credential{}, &transport.Error{Kind: o.kind, Doing: "getting a token"}
	}
	return o.Cache.Credential(ctx)
}

// The token endpoint may be down during the wait for an export and while files are read. That is
// waited out like the server's own outages. A refusal ends the run.
func TestTokenEndpointIsDownInMidRun(t *testing.T) {
	t.Parallel()
	for _, kind := range []transport.Kind{transport.Unavailable, transport.Denied} {
		server := newServer(t, bulktest.Options{Polls: 2})
		var credentials outOfOrder
		c := newClient(t, server, func(o *bulk.Options) {
			credentials.Cache, credentials.kind = o.Credentials.(*auth.Cache), kind
			o.Credentials = &credentials
		})
		job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
		if err != nil {
			t.Fatal(err)
		}
		credentials.down.Store(3)
		m, err := c.Wait(t.Context(), job, nil)
		if kind == transport.Denied {
			if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != kind || credentials.down.Load() != 2 {
				t.Errorf("got %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		credentials.down.Store(3)
		if _, _, err := read(t.Context(), c, m, m.Output[0]); err != nil {
			t.Error(err)
		}
		if n := credentials.down.Load(); n >= 0 {
			t.Errorf("the token was not asked for often enough: %d", n)
		}
	}
}

// If every token is refused, each request is sent at most twice, and each token is requested
// once: no loop, however many workers there are.
func TestEveryTokenIsRefused(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	c := newClient(t, server)
	_, m := export(t, c)
	server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.Respond(http.StatusUnauthorized, nil, "")})
	before := len(requestsOf(server, bulktest.TokenEndpoint))
	const workers = 8
	failed := make(chan error, workers)
	for range workers {
		go func() {
			_, _, err := read(t.Context(), c, m, m.Output[0])
			failed <- err
		}()
	}
	for range workers {
		if e, ok := errors.AsType[*transport.Error](<-failed); !ok || e.Kind != transport.Denied {
			t.Errorf("got %v", e)
		}
	}
	files, tokens := len(requestsOf(server, bulktest.FileEndpoint)), len(requestsOf(server, bulktest.TokenEndpoint))-before
	if files != 2*workers || tokens > workers {
		t.Errorf("%d requests for files and %d for tokens by %d workers", files, tokens, workers)
	}
}

// noCredentials fail for a reason that has nothing to do with a server.
type noCredentials struct{ why error }

// Credential implements [bulk.Credentials].
func (n noCredentials) Credential(context.Context) (auth.Credential, error) {
	return auth.Credential{}, n.why
}

// Reject implements [bulk.Credentials].
func (noCredentials) Reject(auth.Credential) {}

// Failures of this machine, such as an unreadable state, are not waited out.
func TestCredentialsFailForGood(t *testing.T) {
	t.Parallel()
	why := errors.New("the state is away")
	c := clientAt(t, "https://h.example", func(o *bulk.Options) { o.Credentials = noCredentials{why} })
	if _, err := c.Wait(t.Context(), bulk.Job{StatusURL: "https://h.example/job"}, nil); err != why {
		t.Errorf("an export that is waited for: %v", err)
	}
	if _, _, err := read(t.Context(), c, &bulk.Manifest{RequiresAccessToken: true}, bulk.File{URL: "https://h.example/1"}); err != why {
		t.Errorf("a file: %v", err)
	}
}
