package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"fhirkiln/auth"
	"fhirkiln/config"
	"fhirkiln/transport"
)

// Every type of authentication of the config file becomes what gets its credentials.
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
		f, err := fetcherOf(config.Source{FHIR: "https://h/r4", Auth: a}, client, slog.New(slog.DiscardHandler))
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
	if none := fetcher(config.Auth{Type: config.AuthNone}); none != nil {
		t.Errorf("none is %T", none)
	}
}

func TestNewClientRefuses(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none")
	for name, s := range map[string]config.Source{
		"key":         {Auth: config.Auth{Type: config.AuthPrivateKeyJWT, PrivateKey: "planted-secret"}},
		"certificate": {TLS: config.TLS{ClientCert: missing, ClientKey: missing}},
		"authorities": {TLS: config.TLS{CA: missing}},
	} {
		s.Name, s.FHIR = "bison", "https://h/r4"
		_, err := newClient(s, patience{}, slog.New(slog.DiscardHandler))
		var usage *usageError
		if !errors.As(err, &usage) || usage.hint == "" || !strings.Contains(err.Error(), "bison") || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
