package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/auth"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	for method, sent := range map[string]string{"": "POST", "POST": "POST", "GET": "GET"} {
		t.Run("method "+method, func(t *testing.T) {
			t.Parallel()
			server := newServer(t, bulktest.Options{ClientSecret: "a+b &c=%d/é"})
			grant := grantAt(t, server.TokenURL())
			grant.ClientSecret, grant.Method = "a+b &c=%d/é", method
			c, err := grant.Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if a := authorization(c); !strings.HasPrefix(a, "Bearer ") || len(a) < len("Bearer ")+10 {
				t.Errorf("got the header Authorization: %q", a)
			}
			requests := server.Requests()
			if len(requests) != 1 {
				t.Fatalf("got %d requests", len(requests))
			}
			r := requests[0]
			if r.Method != sent || len(r.Query) != 0 || r.Header.Get("Authorization") != "" {
				t.Errorf("got %s %s, Authorization %q", r.Method, r.RequestURI, r.Header.Get("Authorization"))
			}
			// One opaque scope, encoded: a bare "|" does not pass 1upHealth's gateway.
			if body := string(r.Body); !strings.Contains(body, "scope=bulk-data%7Cuser%2F%2A.rs") {
				t.Errorf("got the form %s", body)
			}
			form, err := url.ParseQuery(string(r.Body))
			want := url.Values{"grant_type": {"client_credentials"}, "client_id": {"bulktest-client"},
				"client_secret": {"a+b &c=%d/é"}, "scope": {"bulk-data|user/*.rs"}}
			if err != nil || form.Encode() != want.Encode() {
				t.Errorf("got the form %v, %v", form, err)
			}
		})
	}
}

func TestClientCredentialsWithoutScope(t *testing.T) {
	t.Parallel()
	var form string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		form = r.PostForm.Encode()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"x","token_type":"Bearer"}`)
	})
	grant := grantAt(t, url)
	grant.Scope = ""
	if _, err := grant.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(form, "scope") {
		t.Errorf("got the form %s", form)
	}
}

func TestClientCredentialsRefused(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	for _, test := range []struct {
		name  string
		edit  func(*auth.ClientCredentials)
		text  []string
		hints string
	}{
		{"wrong secret", func(c *auth.ClientCredentials) { c.ClientSecret = "S3CR3T" },
			[]string{"getting a token at " + server.TokenURL(), "401", "invalid_client", "wrong client_secret"}, "client_secret"},
		{"wrong id", func(c *auth.ClientCredentials) { c.ClientID = "other" }, []string{"invalid_client"}, "client_id"},
		{"wrong scope", func(c *auth.ClientCredentials) { c.Scope = "other/scope" },
			[]string{"400", "invalid_scope", bulktest.DefaultScope}, `"other/scope"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			grant := grantAt(t, server.TokenURL())
			test.edit(&grant)
			_, err := grant.Fetch(t.Context())
			e := wantError(t, err, transport.Denied, test.text...)
			if !strings.Contains(e.Hint, test.hints) {
				t.Errorf("the hint %q does not say %q", e.Hint, test.hints)
			}
		})
	}
	t.Run("once", func(t *testing.T) { // a refusal that is tried again may lock the client out
		t.Parallel()
		server := newServer(t, bulktest.Options{})
		grant := grantAt(t, server.TokenURL())
		grant.ClientSecret = "S3CR3T"
		if _, err := grant.Fetch(t.Context()); err == nil || len(server.Requests()) != 1 {
			t.Errorf("got %v after %d requests", err, len(server.Requests()))
		}
	})
}

// Answers that no token endpoint should give, and some do.
func TestClientCredentialsOddAnswers(t *testing.T) {
	t.Parallel()
	const json, html = "application/json", "text/html"
	for _, test := range []struct {
		name, contentType string
		status            int
		body              string
		kind              transport.Kind
		text, hint        string
	}{
		{"the secret comes back", json, 401, `{"error":"unauthorized_client","error_description":"S3CR3T/+x is wrong for fhirkiln"}`,
			transport.Denied, "[redacted] is wrong", "client_secret"},
		{"the form comes back", json, 400, `{"error":"invalid_request","error_description":"bad form: client_secret=S3CR3T%2F%2Bx"}`,
			transport.Denied, "client_secret=[redacted]", "client_secret"},
		{"the secret as the error's code", json, 400, `{"error":"S3CR3T/+x"}`, transport.Denied, "[redacted]", "client_secret"},
		{"control characters", json, 400, `{"error":"invalid_grant","error_description":"a\u001b[31m\nb"}`, transport.Denied, "(a … b)", "client_id"},
		{"200 with an error", json, 200, `{"error":"invalid_client","error_description":"no"}`, transport.Denied, "invalid_client (no)", "client_secret"},
		{"400 without a word", html, 400, ``, transport.Refused, "400 Bad Request", "token_url"},
		{"403 html", html, 403, `<html>WAF</html>`, transport.Denied, "403 Forbidden", "client_id"},
		{"404", html, 404, `<html>`, transport.NotThere, "404 Not Found", "token_url"},
		{"405", json, 405, `{"error":"invalid_request"}`, transport.NotThere, "405", "token_method"},
		{"501", html, 501, ``, transport.NotThere, "501", "token_url"},
		{"200 html", html, 200, `<html>log in</html>`, transport.NotThere, "not a token response", "token_url"},
		{"200 text", "text/plain", 200, `it works!`, transport.NotThere, "not a token response", "token_url"},
		{"200 bad form", "text/plain", 200, `%zz`, transport.NotThere, "not a token response", "token_url"},
		{"200 other JSON", json, 200, `{"status":"up"}`, transport.NotThere, "not a token response", "token_url"},
		{"200 cut JSON", json, 200, `{"access_token":"x`, transport.NotThere, "not a token response", "token_url"},
		{"200 empty", json, 200, ``, transport.NotThere, "not a token response", "token_url"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			grant := grantAt(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.contentType)
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			}))
			grant.ClientSecret = "S3CR3T/+x"
			_, err := grant.Fetch(t.Context())
			e := wantError(t, err, test.kind, test.text)
			if !strings.Contains(e.Hint, test.hint) {
				t.Errorf("the hint %q does not say %q", e.Hint, test.hint)
			}
		})
	}
}

func TestClientCredentialsRedirect(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"POST", "GET"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(fmt.Sprint(method, " ", status), func(t *testing.T) {
				t.Parallel()
				there := newServer(t, bulktest.Options{})
				grant := grantAt(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, there.TokenURL()+"?S3CR3T", status)
				}))
				grant.Method = method
				_, err := grant.Fetch(t.Context())
				e := wantError(t, err, transport.NotThere)
				if !strings.Contains(e.Hint, there.TokenURL()) {
					t.Errorf("the hint %q does not say where to", e.Hint)
				}
				if n := len(there.Requests()); n != 0 {
					t.Errorf("the form went to another address, %d times", n)
				}
			})
		}
	}
}

func TestClientCredentialsMendsWhatPasses(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Times: 2, Do: bulktest.Respond(503, nil, "")})
	if _, err := grantAt(t, server.TokenURL()).Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	requests := server.Requests()
	if len(requests) != 3 || string(requests[2].Body) != string(requests[0].Body) {
		t.Errorf("got %d requests", len(requests))
	}
}

// With the pauses between the attempts on a clock that does not keep anybody waiting.
func TestClientCredentialsUnavailable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		do   roundTrip
		text string
	}{
		{"nobody listens", func(r *http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		}, "connection refused"},
		{"503 forever", func(r *http.Request) (*http.Response, error) {
			return answer(r, 503, "text/html", "<html>"), nil
		}, "503 Service Unavailable"},
		{"429 forever", func(r *http.Request) (*http.Response, error) {
			return answer(r, 429, "application/json", `{"error":"slow_down"}`), nil
		}, "slow_down"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				_, err := auth.ClientCredentials{TokenURL: "https://h.example/token?S3CR3T", ClientSecret: "S3CR3T",
					HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						tries++
						return test.do(r)
					})}}.Fetch(t.Context())
				wantError(t, err, transport.Unavailable, "getting a token at https://h.example/token?…", test.text)
				if tries != 5 {
					t.Errorf("tried %d times, want 5", tries)
				}
			})
		})
	}
}

func TestClientCredentialsCutAnswer(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Times: bulktest.Always, Do: bulktest.CutBody(10)})
	grant := grantAt(t, server.TokenURL())
	grant.Retry = quick
	_, err := grant.Fetch(t.Context())
	wantError(t, err, transport.Unavailable)
	if n := len(server.Requests()); n != 5 {
		t.Errorf("sent %d times, want 5", n)
	}
}

// The network may cut an answer in its body too, and the same again may work.
func TestClientCredentialsMendsACutAnswer(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Times: 2, Do: bulktest.CutBody(10)})
	grant := grantAt(t, server.TokenURL())
	grant.Retry = quick
	if _, err := grant.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(server.Requests()); n != 3 {
		t.Errorf("sent %d times, want 3", n)
	}
}

func TestClientCredentialsSilentAnswer(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"access_token":`)
		http.NewResponseController(w).Flush()
		<-r.Context().Done() // the client gives up
	})
	grant := grantAt(t, url)
	grant.HTTP = transport.New(transport.Options{StallTimeout: 30 * time.Millisecond})
	grant.Retry = quick
	_, err := grant.Fetch(t.Context())
	wantError(t, err, transport.Unavailable, "getting a token", "no byte came for 30ms")
}

func TestClientCredentialsCanceled(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{})
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Do: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		cancel(why)
		<-r.Context().Done()
	}})
	if _, err := grantAt(t, server.TokenURL()).Fetch(ctx); err != why {
		t.Errorf("got %v, want the cause", err)
	}
}
