package setup

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"fhirkiln/auth"
	"fhirkiln/config"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every type of authentication in the config becomes the right fetcher.
func TestFetcherOf(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	signing := config.Secret(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	client := transport.New(transport.Options{})
	fetcher := func(a config.Auth) auth.Fetcher {
		t.Helper()
		f, err := fetcherOf(config.Source{FHIR: "https://h/r4", Auth: a}, nil, nil, client, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	secret := fetcher(config.Auth{Type: config.AuthClientCredentials, TokenURL: "https://t/", ClientID: "id", ClientSecret: "s", ClientAuth: "basic", RequireScope: true}).(auth.ClientCredentials)
	if secret.ClientSecret != "s" || !secret.Basic || !secret.RequireScope || secret.Discover != "" || secret.TokenURL != "https://t/" {
		t.Errorf("got %+v", secret)
	}
	signed := fetcher(config.Auth{Type: config.AuthPrivateKeyJWT, Discover: true, ClientID: "id", PrivateKey: signing, KeyID: "k", JKU: "https://c/"}).(auth.PrivateKeyJWT)
	if signed.Discover != "https://h/r4" || signed.KeySetURL != "https://c/" || signed.ClientID != "id" {
		t.Errorf("got %+v", signed)
	}
	if _, ok := fetcher(config.Auth{Type: config.AuthOneUpUser, RefreshTokenStore: "/r"}).(*auth.OneUpUser); !ok {
		t.Error("oneup_user is another")
	}
	headers := fetcher(config.Auth{Type: config.AuthOneUpHeaders, ClientID: "id", ClientSecret: "s", OneUpUserID: "client"}).(auth.OneUpHeaders)
	if headers.ClientID != "id" || headers.ClientSecret != "s" || headers.OneUpUserID != auth.AllUsers {
		t.Errorf("got %+v", headers)
	}
	if _, ok := fetcher(config.Auth{Type: config.AuthBearer, Token: "x"}).(auth.Credential); !ok {
		t.Error("bearer is another")
	}
	if f := fetcher(config.Auth{Type: config.AuthBearer, Token: "x", TokenFile: "/t"}); f != auth.BearerFile("/t") {
		t.Errorf("bearer from a file is %T", f)
	}
	if none := fetcher(config.Auth{Type: config.AuthNone}); none != nil {
		t.Errorf("none is %T", none)
	}
}

// A source that lacks its secret gets no client, and its problems are the error.
func TestClientWithProblems(t *testing.T) {
	t.Parallel()
	problems := config.Errors{{File: "config.yaml", Line: 1, Column: 2, Path: "sources.bison.auth.token", Message: "is empty"}}
	client, err := Client(config.Source{Name: "bison", FHIR: "https://h/r4", Auth: config.Auth{Type: config.AuthBearer}, Problems: problems}, nil, Options{})
	if got, ok := errors.AsType[config.Errors](err); client != nil || !ok || len(got) != 1 {
		t.Errorf("got %v, %v", client, err)
	}
}

func TestClientRefuses(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none")
	for name, s := range map[string]config.Source{
		"key":         {Auth: config.Auth{Type: config.AuthPrivateKeyJWT, PrivateKey: "planted-secret"}},
		"certificate": {TLS: config.TLS{ClientCert: missing, ClientKey: missing}},
		"authorities": {TLS: config.TLS{CA: missing}},
		"no type":     {Auth: config.Auth{Token: "planted-secret"}},
		"new type":    {Auth: config.Auth{Type: "smart_card", Token: "planted-secret"}}, // never without credentials
	} {
		s.Name, s.FHIR = "bison", "https://h/r4"
		_, err := Client(s, nil, Options{})
		var source *SourceError
		if !errors.As(err, &source) || source.Hint == "" || !strings.Contains(err.Error(), "bison") || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// 1upHealth's refresh token outlasts the run in the state, unless the user changes.
func TestRefreshTokenIsKeptInTheState(t *testing.T) {
	t.Parallel()
	var grants []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/code" {
			fmt.Fprint(w, `{"code":"c"}`)
			return
		}
		grants = append(grants, r.PostFormValue("grant_type"))
		fmt.Fprintf(w, `{"access_token":"a","token_type":"bearer","refresh_token":"planted-%d"}`, len(grants))
	}))
	t.Cleanup(server.Close)
	folder := t.TempDir()
	fetch := func(user string) {
		t.Helper()
		state, err := sink.OpenDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		defer state.Close()
		client := transport.New(transport.Options{})
		defer client.CloseIdleConnections()
		f, err := fetcherOf(config.Source{Name: "bison", Auth: config.Auth{Type: config.AuthOneUpUser, CodeURL: server.URL + "/code", TokenURL: server.URL + "/token",
			ClientID: "id", ClientSecret: "s", AppUserID: user}}, nil, state, client, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, user := range []string{"me", "me", "me", "you", "you"} {
		fetch(user)
	}
	if got, want := strings.Join(grants, " "), "authorization_code refresh_token refresh_token authorization_code refresh_token"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	info, err := os.Stat(filepath.Join(folder, "_fhirkiln", "tokens", "bison.json"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the token's file: %v, %v", info, err)
	}
}
