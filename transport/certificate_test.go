package transport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fhirkiln/transport"
)

// writePair writes a self-signed certificate and its key.
func writePair(t *testing.T, dir, name string) (certFile, keyFile string, certificate *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", secret)
	return certFile, keyFile, certificate
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveTLS starts a server and writes the certificate of its CA.
func serveTLS(t *testing.T, change func(*tls.Config), h http.HandlerFunc) (server *httptest.Server, caFile string) {
	t.Helper()
	server = httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{}
	if change != nil {
		change(server.TLS)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	writePEM(t, caFile, "CERTIFICATE", server.Certificate().Raw)
	return server, caFile
}

func authorities(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	pool, err := transport.LoadAuthorities(file)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile, _ := writePair(t, dir, "first")
	var who []string
	var mu sync.Mutex
	server, caFile := serveTLS(t, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		who = append(who, r.TLS.PeerCertificates[0].Subject.CommonName)
	})
	own, err := transport.LoadCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, transport.Options{Authorities: authorities(t, caFile), Certificate: own, CertificateOrigins: []string{server.URL}})
	ask := func() {
		t.Helper()
		if _, err := get(t, client, server.URL); err != nil {
			t.Fatal(err)
		}
		client.CloseIdleConnections()
	}
	ask()
	writePair(t, dir, "renewed")
	ask()
	// While the two files do not match, the old pair stays in use.
	writePEM(t, keyFile, "PRIVATE KEY", []byte("not the key"))
	ask()
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(who, " "); got != "first renewed renewed" {
		t.Errorf("the server saw %s", got)
	}

	if _, err := get(t, newClient(t, transport.Options{Authorities: authorities(t, caFile)}), server.URL); err == nil {
		t.Error("it did without a certificate")
	}
}

func TestLoadCertificateRefuses(t *testing.T) {
	t.Parallel()
	certFile, keyFile, _ := writePair(t, t.TempDir(), "a")
	_, otherKey, _ := writePair(t, t.TempDir(), "b")
	for name, files := range map[string][2]string{"missing cert": {"none", keyFile}, "missing key": {certFile, "none"}} {
		if _, err := transport.LoadCertificate(files[0], files[1]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := transport.LoadCertificate(certFile, otherKey); err == nil {
		t.Error("the key of another certificate was taken")
	}
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	server, caFile := serveTLS(t, nil, func(http.ResponseWriter, *http.Request) {})
	if _, err := get(t, newClient(t, transport.Options{Authorities: authorities(t, caFile)}), server.URL); err != nil {
		t.Error(err)
	}
	machine, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	machine.AddCert(server.Certificate())
	if !authorities(t, caFile).Equal(machine) {
		t.Error("the machine's own authorities are not among them")
	}
	_, err = get(t, newClient(t, transport.Options{}), server.URL)
	e := asError(t, transport.NoAnswer(t.Context(), "asking", server.URL, err))
	if e.Kind != transport.NotThere || !strings.Contains(e.Hint, "authorities") {
		t.Errorf("got %v, hint %q", e, e.Hint)
	}
	if _, err := transport.LoadAuthorities(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("words"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := transport.LoadAuthorities(empty); err == nil {
		t.Error("words were taken for certificates")
	}
}

// TLS versions before 1.2 are refused (Bulk Data IG, "Security").
func TestOldTLS(t *testing.T) {
	t.Parallel()
	server, caFile := serveTLS(t, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, func(http.ResponseWriter, *http.Request) {})
	if _, err := get(t, newClient(t, transport.Options{Authorities: authorities(t, caFile)}), server.URL); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
}

// A proxy sees where an https request goes, but nothing of its content.
func TestProxy(t *testing.T) {
	t.Parallel()
	const secret = "S3CR3T"
	server, caFile := serveTLS(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" {
			t.Error("the server got the proxy's password")
		}
		io.WriteString(w, r.Header.Get("Authorization"))
	})
	var seen visits
	var refuses atomic.Bool
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen.add(r)
		if refuses.Load() || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			t.Error(err)
			return
		}
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			io.Copy(there, here)
			there.Close()
		}()
		io.Copy(here, there)
		here.Close()
	})
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword("me", "pass-"+secret)
	client := newClient(t, transport.Options{Authorities: authorities(t, caFile), Proxy: at})
	req := newRequest(t, t.Context(), http.MethodGet, server.URL+"/?q="+secret, "")
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := transport.ReadBody(resp, 100); err != nil || string(body) != "Bearer "+secret {
		t.Errorf("got %s, %v", body, err)
	}
	client.CloseIdleConnections()
	if seen.count() != 1 || seen.header[0].Get("Proxy-Authorization") == "" || seen.header[0].Get("Authorization") != "" {
		t.Errorf("the proxy saw %v", seen.header)
	}

	refuses.Store(true)
	_, err = get(t, client, server.URL+"/?q="+secret)
	if e := asError(t, transport.NoAnswer(t.Context(), "asking", server.URL, err)); strings.Contains(e.Error()+e.Hint, secret) {
		t.Errorf("the password is told: %v", e)
	}
}

// A certificate identifies the client, as a token does: only its origins see it.
func TestClientCertificateIsForItsOriginsAlone(t *testing.T) {
	t.Parallel()
	certFile, keyFile, _ := writePair(t, t.TempDir(), "me")
	own, err := transport.LoadCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	shown := map[string]int{}
	note := func(name string, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		shown[name] += len(r.TLS.PeerCertificates)
	}
	asks := func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }
	storage, caFile := serveTLS(t, asks, func(_ http.ResponseWriter, r *http.Request) { note("storage", r) })
	fhir, _ := serveTLS(t, asks, func(w http.ResponseWriter, r *http.Request) { // with the same CA
		note("fhir", r)
		http.Redirect(w, r, storage.URL, http.StatusTemporaryRedirect)
	})
	for _, once := range []bool{false, true} {
		client := newClient(t, transport.Options{Authorities: authorities(t, caFile), Certificate: own, CertificateOrigins: []string{fhir.URL + "/r4"}})
		req := newRequest(t, t.Context(), http.MethodGet, fhir.URL, "")
		req.Close = once
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if _, err := get(t, client, storage.URL); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if shown["fhir"] != 2 || shown["storage"] != 0 {
		t.Errorf("the certificate was shown %v", shown)
	}
}
