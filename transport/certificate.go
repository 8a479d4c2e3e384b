package transport

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"
)

// Certificate is a client certificate with its key, from two PEM files. It reads them
// again when they have changed, since such certificates are renewed while a program
// runs. Safe for concurrent use.
type Certificate struct {
	certFile, keyFile string

	mu   sync.Mutex
	now  *tls.Certificate
	from [2]stamp // of certFile and keyFile
}

// stamp tells one content of a file from the next.
type stamp struct {
	changed time.Time
	size    int64
}

// LoadCertificate reads a client certificate, followed in certFile by those between it
// and its authority, and its key. The two may be one file. An error holds nothing of
// the key.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	if err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// read reads the files if they are not those that it has. c.mu is held, or c is new.
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
		return fmt.Errorf("reading the client certificate of %s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.now, c.from = &pair, from
	return nil
}

// get is [tls.Config.GetClientCertificate].
func (c *Certificate) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Between the renewal of one file and of the other they do not fit: the old pair
	// may still do, and if not, the server says so.
	if err := c.read(); err != nil && c.now == nil {
		return nil, err
	}
	return c.now, nil
}

// LoadAuthorities returns this machine's list of authorities with those of a PEM file
// added, such as a payer's own.
func LoadAuthorities(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // a container without any
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("reading the authorities: %s holds no certificate in PEM", file)
	}
	return pool, nil
}
