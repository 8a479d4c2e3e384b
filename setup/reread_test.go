package setup

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/config"
	"fhirkiln/transport"
)

// rereadSource loads a source whose auth is given, with a secret file to write to, and returns
// its fetcher as [Client] makes it.
func rereadSource(t *testing.T, settings string) (fetcher auth.Fetcher, write func(secret string)) {
	t.Helper()
	dir := t.TempDir()
	write = func(secret string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(pemKey(t))
	if !strings.Contains(settings, "private_key") {
		write("old")
	}
	cfg, err := config.Parse("config.yaml", []byte("sources: {s: {fhir: https://h/r4, auth: {"+settings+"}}}\nfeeds: {f: {source: s, level: system}}\nsink: {url: lake}\n"), dir, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	client := transport.New(transport.Options{})
	t.Cleanup(client.CloseIdleConnections)
	fetcher, err = rereading(cfg.Sources["s"], func(s config.Source) (auth.Fetcher, error) { return fetcherOf(s, nil, nil, client, Options{}) }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return fetcher, write
}

func pemKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// A secret that was replaced in its file is used once the server refuses the old one, even if
// that happens only after the refusal. An unchanged secret is not sent again.
func TestSecretFileIsReadAgain(t *testing.T) {
	t.Parallel()
	valid := "old"
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret := r.PostFormValue("client_secret")
		if asked = append(asked, secret); secret != valid {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		fmt.Fprint(w, `{"access_token":"a","token_type":"bearer"}`)
	}))
	t.Cleanup(server.Close)
	fetcher, write := rereadSource(t, "type: client_credentials, token_url: '"+server.URL+"', client_id: id, client_secret_file: secret")
	cache := auth.NewCache(fetcher)
	for n, step := range []struct{ valid, file, sent string }{
		{"old", "old", "old"},
		{"old", "new", "old"}, // the server still takes the old one
		{"new", "new", "old new"},
		{"new", "new", "new"},
		{"newest", "new", "new"},
		{"newest", "new", ""}, // not sent again while it has not changed
		{"newest", "", ""},
		{"newest", "other", "other"},
		{"newest", "other", ""},
		{"newest", "newest", "newest"},
		{"newest", "newest", "newest"},
	} {
		valid, asked = step.valid, nil
		write(step.file)
		c, err := cache.Credential(t.Context())
		if got := strings.Join(asked, " "); got != step.sent {
			t.Errorf("%d: sent %q, want %q", n, got, step.sent)
		}
		if granted := strings.HasSuffix(step.sent, step.valid); granted && err != nil || !granted && (err == nil || !strings.Contains(err.Error(), "invalid_client")) {
			t.Errorf("%d: got %v", n, err)
		}
		cache.Reject(c)
	}
}

// [Client] makes such a fetcher.
func TestClientReadsItsSecretAgain(t *testing.T) {
	t.Parallel()
	server, err := bulktest.NewServer(bulktest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(bulktest.DefaultClientSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := Client(config.Source{Name: "bison", FHIR: server.FHIR(), Auth: config.Auth{Type: config.AuthClientCredentials, TokenURL: server.TokenURL(),
		ClientID: bulktest.DefaultClientID, ClientSecret: "as it was at the start", ClientSecretFile: file, Scope: bulktest.DefaultScope}}, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	job, err := client.KickOff(t.Context(), bulk.Request{Level: bulk.System})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Delete(t.Context(), job); err != nil {
		t.Error(err)
	}
}

// A new secret does not go to another origin than the old one, wherever the server says its token
// endpoint is by then.
func TestSecretReadAgainStaysAtItsOrigin(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request went elsewhere") }))
	t.Cleanup(elsewhere.Close)
	file := filepath.Join(t.TempDir(), "secret")
	var refusals atomic.Int32
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("/fhir/.well-known/smart-configuration", func(w http.ResponseWriter, _ *http.Request) {
		at := server.URL
		if refusals.Load() > 0 {
			at = elsewhere.URL
		}
		fmt.Fprintf(w, `{"token_endpoint":"%s/token"}`, at)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) {
		refusals.Add(1)
		if err := os.WriteFile(file, []byte("new"), 0o600); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client"}`)
	})
	client, err := Client(config.Source{Name: "bison", FHIR: server.URL + "/fhir", Auth: config.Auth{Type: config.AuthClientCredentials, Discover: true,
		ClientID: "id", ClientSecret: "old", ClientSecretFile: file}}, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.KickOff(t.Context(), bulk.Request{Level: bulk.System})
	if err == nil || !strings.Contains(err.Error(), "the server now says it is at") || refusals.Load() != 1 {
		t.Errorf("%d refusals, error %v", refusals.Load(), err)
	}
}

// A private key is read again too, but one that cannot be used is not tried and does not hide
// the refusal.
func TestPrivateKeyFileIsReadAgain(t *testing.T) {
	t.Parallel()
	var asked, grants atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1); grants.Add(-1) < 0 {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		fmt.Fprint(w, `{"access_token":"a","token_type":"bearer"}`)
	}))
	t.Cleanup(server.Close)
	fetcher, write := rereadSource(t, "type: private_key_jwt, token_url: '"+server.URL+"', client_id: id, private_key_file: secret, key_id: k")
	cache := auth.NewCache(fetcher)
	for _, test := range []struct {
		file string
		want int64
	}{{"no key", 1}, {"no key", 0}, {pemKey(t), 1}} {
		write(test.file)
		asked.Store(0)
		grants.Store(0)
		if _, err := cache.Credential(t.Context()); err == nil || !strings.Contains(err.Error(), "invalid_client") {
			t.Errorf("got %v", err)
		}
		if got := asked.Load(); got != test.want {
			t.Errorf("asked %d times, want %d", got, test.want)
		}
	}
}

// 1upHealth's headers are refused by the FHIR server, after which they are fetched again.
func TestHeadersFileIsReadAgain(t *testing.T) {
	t.Parallel()
	fetcher, write := rereadSource(t, "type: oneup_headers, client_id: id, client_secret_file: secret, app_user_id: me")
	for _, want := range []string{"old", "new"} {
		c, err := fetcher.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		if c.Apply(h); h["client_secret"][0] != want { //nolint:staticcheck // SA1008: the name stays as spelled
			t.Errorf("got %s, want %s", h, want)
		}
		write("new")
	}
}

// A one-time code that the server took is not sent again with a new secret, and the refresh token
// of this run is kept. A code that was refused along with its secret is sent with the next one.
func TestCodeIsSentOnceAcrossSecrets(t *testing.T) {
	t.Parallel()
	valid := "new"
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret := r.PostFormValue("client_secret")
		asked = append(asked, r.PostFormValue("grant_type")+":"+secret)
		if secret != valid {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		fmt.Fprint(w, `{"access_token":"a","token_type":"bearer","refresh_token":"r"}`)
	}))
	t.Cleanup(server.Close)
	fetcher, write := rereadSource(t, "type: oneup_user, token_url: '"+server.URL+"', client_id: id, client_secret_file: secret, code: once")
	cache := auth.NewCache(fetcher)
	for n, step := range []struct{ valid, file, sent string }{
		{"new", "new", "authorization_code:old authorization_code:new"},
		{"newest", "newest", "refresh_token:new refresh_token:newest"},
	} {
		valid, asked = step.valid, nil
		write(step.file)
		c, err := cache.Credential(t.Context())
		if got := strings.Join(asked, " "); err != nil || got != step.sent {
			t.Errorf("%d: sent %q, %v, want %q", n, got, err, step.sent)
		}
		cache.Reject(c)
	}
}
