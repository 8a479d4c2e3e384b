package transport

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"
)

// Certificate is a client certificate with its key, from two PEM files. It rereads them
// when they have changed, because such certificates are renewed while a program runs. It is
// safe for concurrent use.
type Certificate struct {
	certFile, keyFile string

	mu   sync.Mutex
	now  *tls.Certificate
	from [2]stamp // of certFile and keyFile
}

// stamp identifies a version of a file.
type stamp struct {
	changed time.Time
	size    int64
}

// LoadCertificate reads a client certificate and its key. In certFile, the certificate is
// followed by any intermediate certificates. The two may be one file. An error holds nothing
// of the key.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	if err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// read reads the files if they have changed. c.mu must be held, unless c is new.
func (c *Certificate) read() error {
	var from [2]stamp
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("reading the client certificate: %w", err)
		}
		from[i] = stamp{info.ModTime(), info.Size()}
	}
	if c.now != nil && c.from == from {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("reading the client certificate from %s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.now, c.from = &pair, from
	return nil
}

// get implements [tls.Config.GetClientCertificate].
func (c *Certificate) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// While only one of the two files has been renewed, they do not match. The old pair may
	// still be valid, and if not, the server says so.
	if err := c.read(); err != nil && c.now == nil {
		return nil, err
	}
	return c.now, nil
}

// LoadAuthorities returns this machine's root CAs plus those of a PEM file, such as a
// payer's own.
func LoadAuthorities(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // as in a container without any
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("reading the certificate authorities: %s contains no PEM certificate", file)
	}
	return pool, nil
}
