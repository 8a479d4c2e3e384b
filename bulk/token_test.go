package bulk_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

func TestTokenIsRenewedAtEveryStep(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{Polls: 2})
	c := newClient(t, server)
	job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
	if err != nil {
		t.Fatal(err)
	}
	server.ExpireTokens()
	m, err := c.Wait(t.Context(), job, func(bulk.Progress) { server.ExpireTokens() })
	if err != nil {
		t.Fatal(err)
	}
	server.ExpireTokens()
	if _, _, err := read(t.Context(), c, m, m.Output[0]); err != nil {
		t.Fatal(err)
	}
	server.ExpireTokens()
	if err := c.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	server.ExpireTokens()
	if _, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System, Post: true}); err != nil {
		t.Fatal(err)
	}
	if n := len(requestsOf(server, bulktest.TokenEndpoint)); n != 7 {
		t.Errorf("got %d token requests, want 7", n)
	}
}

func TestTokenRefusedForGood(t *testing.T) {
	t.Parallel()
	refuse := bulktest.Outcome(401, "login", "not this client")
	t.Run("kick-off", func(t *testing.T) {
		t.Parallel()
		server := newServer(t, bulktest.Options{})
		server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Times: bulktest.Always, Do: refuse})
		_, err := newClient(t, server).KickOff(t.Context(), bulk.Request{Level: bulk.System})
		wantHint(t, wantError(t, err, transport.Denied, "401 Unauthorized: not this client"), "scope")
		if kicks, tokens := len(requestsOf(server, bulktest.KickOffEndpoint)), len(requestsOf(server, bulktest.TokenEndpoint)); kicks != 2 || tokens != 2 {
			t.Errorf("got %d kick-offs and %d token requests, want 2 and 2", kicks, tokens)
		}
	})
	t.Run("status", func(t *testing.T) { // BCDA's response for another client's job
		t.Parallel()
		server := newServer(t, bulktest.Options{})
		c := newClient(t, server)
		job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
		if err != nil {
			t.Fatal(err)
		}
		server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: refuse})
		_, err = c.Wait(t.Context(), job, nil)
		wantHint(t, wantError(t, err, transport.Denied, "401 Unauthorized: not this client"), "another client")
		if n := len(requestsOf(server, bulktest.StatusEndpoint)); n != 2 {
			t.Errorf("got %d status requests, want 2", n)
		}
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		server := newServer(t, bulktest.Options{})
		c := newClient(t, server)
		_, m := export(t, c)
		server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: refuse})
		_, _, err := read(t.Context(), c, m, m.Output[0])
		wantError(t, err, transport.Denied, "401 Unauthorized: not this client")
		if n := len(requestsOf(server, bulktest.FileEndpoint)); n != 2 {
			t.Errorf("got %d file requests, want 2", n)
		}
	})
}

func TestTokenThatTheServerRepeats(t *testing.T) {
	t.Parallel()
	server, _ := script(t, func(w http.ResponseWriter, r *http.Request) {
		bulktest.Outcome(400, "security", "bad token "+r.Header.Get("Authorization"))(w, r, nil)
	})
	c := clientAt(t, server.URL, bearer(secret))
	_, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
	wantError(t, err, transport.Refused, "bad token Bearer [credential]")
	_, err = c.Wait(t.Context(), bulk.Job{StatusURL: server.URL}, nil)
	wantError(t, err, transport.Refused, "bad token Bearer [credential]")

	server, _ = script(t, func(w http.ResponseWriter, r *http.Request) {
		respond(http.StatusAccepted, http.Header{"X-Progress": {"for " + r.Header.Get("Authorization")}}, "")(w, r)
	}, respond(http.StatusGone, nil, ""))
	clientAt(t, server.URL, bearer(secret)).Wait(t.Context(), bulk.Job{StatusURL: server.URL}, func(p bulk.Progress) {
		if p.Text != "for Bearer [credential]" {
			t.Errorf("got the progress %q", p.Text)
		}
	})
}

func TestTokenCannotBeHad(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Do: bulktest.TokenError(401, "invalid_client")})
	_, err := newClient(t, server).KickOff(t.Context(), bulk.Request{Level: bulk.System})
	wantError(t, err, transport.Denied, "getting a token", "invalid_client")
	if n := len(requestsOf(server, bulktest.KickOffEndpoint)); n != 0 {
		t.Errorf("got %d kick-offs without a token", n)
	}
}

// Presigned storage answers 400 to a request that has an Authorization header too.
func TestTokenIsNotSentToCapabilityURLs(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{OpenFiles: true})
	c := newClient(t, server)
	_, m := export(t, c)
	if m.RequiresAccessToken {
		t.Error("the manifest says that no token is needed")
	}
	for _, f := range m.Output {
		if _, _, err := read(t.Context(), c, m, f); err != nil {
			t.Error(err)
		}
	}
	for _, r := range requestsOf(server, bulktest.FileEndpoint) {
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("%s got the header Authorization", r.Path)
		}
	}
}

func TestTokenIsNotSentToAnotherOrigin(t *testing.T) {
	t.Parallel()
	var requests, authorized atomic.Int64
	other := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Header.Get("Authorization") != "" {
			authorized.Add(1)
		}
	})
	server := newServer(t, bulktest.Options{})
	c := newClient(t, server)
	f := bulk.File{Type: "Patient", URL: other.URL + "/1.ndjson?sig=" + secret}
	_, _, err := read(t.Context(), c, &bulk.Manifest{RequiresAccessToken: true}, f)
	wantHint(t, wantError(t, err, transport.Broken, "another origin, "+other.URL, "it is not sent there"), "add it to the source's token_origins")
	if requests.Load() != 0 {
		t.Error("a request was sent to the other origin")
	}
	if _, _, err := read(t.Context(), c, &bulk.Manifest{}, f); err != nil {
		t.Errorf("a file that needs no token: %v", err)
	}
	if err := c.Delete(t.Context(), bulk.Job{StatusURL: other.URL + "/job"}); err != nil {
		t.Error(err)
	}
	if requests.Load() != 2 || authorized.Load() != 0 {
		t.Errorf("the other origin got %d requests, %d of them with a token", requests.Load(), authorized.Load())
	}
}

// Oracle's files redirect to a storage host.
func TestTokenDoesNotFollowARedirect(t *testing.T) {
	t.Parallel()
	const line = `{"resourceType":"Patient"}` + "\n"
	seen := make(chan http.Header, 1)
	storage := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Clone()
		file([]byte(line), nil)(w, r)
	})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(401)
			return
		}
		http.Redirect(w, r, storage.URL+"/x?sig="+secret, http.StatusTemporaryRedirect)
	})
	c := clientAt(t, server.URL, bearer("x"))
	got, _, err := read(t.Context(), c, &bulk.Manifest{RequiresAccessToken: true}, bulk.File{Type: "Patient", URL: server.URL + "/f"})
	if err != nil || got != line {
		t.Fatalf("got %q, %v", got, err)
	}
	if h := <-seen; h.Get("Authorization") != "" || h.Get("Accept-Encoding") != "gzip" {
		t.Errorf("the storage got the header %v", h)
	}
}

// A static token cannot be renewed, so the second try is the last.
func TestTokenThatIsStatic(t *testing.T) {
	t.Parallel()
	server, requests := script(t, respond(401, nil, ""))
	c := clientAt(t, server.URL, func(o *bulk.Options) { o.Credentials = auth.NewCache(auth.Bearer(secret)) })
	_, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
	wantError(t, err, transport.Denied)
	if requests.Load() != 2 {
		t.Errorf("got %d requests, want 2", requests.Load())
	}
}

func TestACredentialForGETIsSentWithNothingElse(t *testing.T) {
	t.Parallel()
	var methods []string
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		methods = append(methods, r.Method)
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","diagnostics":"no user for %s"}]}`, r.Header.Get("client_secret"))
	}))
	t.Cleanup(server.Close)
	plain := transport.New(transport.Options{})
	t.Cleanup(plain.CloseIdleConnections)
	c, err := bulk.New(bulk.Options{Base: server.URL, HTTP: plain, Credentials: auth.NewCache(auth.OneUpHeaders{
		ClientID: "client-planted", ClientSecret: "secret-planted", OneUpUserID: auth.AllUsers,
	})})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), bulk.Job{StatusURL: server.URL + "/job"}); err == nil || !strings.Contains(err.Error(), "only GET") {
		t.Errorf("DELETE: %v, want a refusal", err)
	}
	_, err = c.KickOff(t.Context(), bulk.Request{Level: bulk.System})
	if err == nil || strings.Contains(err.Error(), "secret-planted") || !strings.Contains(err.Error(), "[credential]") {
		t.Errorf("the server's echo of the secret came out as %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, m := range methods {
		if m != http.MethodGet {
			t.Errorf("a %s was sent", m)
		}
	}
}
