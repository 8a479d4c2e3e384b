package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirkiln/sink"
	"fhirkiln/sink/sinktest"
)

func conforms(t *testing.T, g *gateway, checksums sink.Checksums) {
	t.Helper()
	sinktest.Test(t, func(t *testing.T) func() sinktest.Sink {
		o := g.options(g.bucket(t))
		o.Checksums = checksums
		return func() sinktest.Sink { return openS3(t, o) }
	})
}

func TestS3Conformance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		checksums sink.Checksums
		posix     []string
	}{
		{"checksums always", sink.ChecksumsAlways, nil},
		{"checksums required", sink.ChecksumsRequired, nil},
		// Like under KMS, where the ETag of an upload is not made of those of its chunks.
		{"ETags that are no MD5s", sink.ChecksumsAlways, []string{"--data-integrity-etag"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conforms(t, newGateway(t, nil, nil, tt.posix), tt.checksums)
		})
	}
}

// Not parallel: the environment belongs to the process.
func TestS3ConformanceOverTLS(t *testing.T) {
	ca := newAuthority(t)
	g := newGateway(t, ca.client, []string{"--cert", ca.certFile, "--key", ca.keyFile}, nil)

	o := g.options(g.bucket(t))
	_, err := sink.OpenS3(t.Context(), o)
	var e *sink.Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint, "AWS_CA_BUNDLE") {
		t.Fatalf("without the authority: %v", err)
	}
	o.CAFile = ca.file
	openS3(t, o)

	t.Setenv("AWS_CA_BUNDLE", ca.file)
	o.CAFile, o.Checksums = "", sink.ChecksumsRequired
	if err := newWork(1).do(t.Context(), openS3(t, o)); err != nil {
		t.Error(err)
	}
	conforms(t, g, sink.ChecksumsAlways)
}

// authority signs a server's certificate for this machine.
type authority struct {
	file, certFile, keyFile string // PEM
	client                  *http.Client
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	folder := t.TempDir()
	a := &authority{
		file:     filepath.Join(folder, "ca.pem"),
		certFile: filepath.Join(folder, "cert.pem"),
		keyFile:  filepath.Join(folder, "key.pem"),
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a server"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	caKey, leafKey := newKey(t), newKey(t)
	write := func(name, kind string, der []byte, err error) {
		t.Helper()
		if err == nil {
			err = os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	write(a.file, "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
	write(a.certFile, "CERTIFICATE", der, err)
	der, err = x509.MarshalECPrivateKey(leafKey)
	write(a.keyFile, "EC PRIVATE KEY", der, err)

	roots := x509.NewCertPool()
	b, err := os.ReadFile(a.file)
	if err != nil || !roots.AppendCertsFromPEM(b) {
		t.Fatal("no certificate", err)
	}
	a.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
