package auth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

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
			if r.Method != sent || len(r.Query) != 0 || r.Header.Get("Authorization") != "" || r.Header.Get("Accept") != "application/json" {
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
	t.Run("once", func(t *testing.T) { // retrying a refusal may lock the client out
		t.Parallel()
		server := newServer(t, bulktest.Options{})
		grant := grantAt(t, server.TokenURL())
		grant.ClientSecret = "S3CR3T"
		if _, err := grant.Fetch(t.Context()); err == nil || len(server.Requests()) != 1 {
			t.Errorf("got %v after %d requests", err, len(server.Requests()))
		}
	})
}

// Responses that no token endpoint should give, but some do.
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
			e := wantError(t, err, test.kind, "getting a token at "+grant.TokenURL, test.text)
			if !strings.Contains(e.Hint, test.hint) || test.status == 404 && strings.Contains(e.Hint, "token_method") { // it was a POST
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

func TestClientCredentialsOfAnUnreadableURL(t *testing.T) {
	t.Parallel()
	_, err := auth.ClientCredentials{TokenURL: "https://[::1/S3CR3T", HTTP: newClient(t)}.Fetch(t.Context())
	wantError(t, err, transport.NotThere, "getting a token", "the URL is unreadable")
}
