package setup

import (
	"fmt"
	"net/url"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/config"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// TokenState is the part of a state that refresh tokens need; every [Place] is one.
type TokenState = auth.Objects[sink.Version]

// SourceError says which setting of a source cannot be used, such as a file with a
// certificate.
type SourceError struct {
	Source string
	Err    error  // holds no secret
	Hint   string // what to check
}

func (e *SourceError) Error() string { return fmt.Sprintf("source %s: %v", e.Source, e.Err) }

func (e *SourceError) Unwrap() error { return e.Err }

// Client creates a source's client with its credentials. It reads the source's keys and
// certificates, but sends nothing. A setting that cannot be used is a [*SourceError]. A source
// with Problems gets no client: they are the error, a [config.Errors].
//
// A user's refresh token is kept in state, so that it outlasts the run. With a nil state, it
// is lost with the client: enough to check a source, but not to use a feed's.
func Client(s config.Source, state TokenState, o Options) (*bulk.Client, error) {
	if len(s.Problems) > 0 {
		return nil, s.Problems
	}
	o = o.withDefaults()
	o.Log = o.Log.With("source", s.Name)
	way, err := wayTo(s, o)
	if err != nil {
		return nil, err
	}
	client := transport.New(way)
	pin := &auth.Pin{Origins: s.TokenOrigins}
	fetcher, err := rereading(s, func(s config.Source) (auth.Fetcher, error) { return fetcherOf(s, pin, state, client, o) }, o.Log)
	if err != nil {
		return nil, err
	}
	options := bulk.Options{
		Base:         s.FHIR,
		HTTP:         client,
		TokenOrigins: s.TokenOrigins,
		FileHosts:    s.FileHosts,
		Log:          o.Log,
		Poll:         bulk.Poll{Min: s.Poll.Min, Max: s.Poll.Max, Deadline: s.Poll.Deadline, Outage: o.Patience.Outage},
		Retry:        o.Patience.Retry,
	}
	if fetcher != nil {
		options.Credentials = auth.NewCache(fetcher)
	}
	return bulk.New(options)
}

// wayTo returns how a source is reached: proxy, certificates, and its gateway's headers.
func wayTo(s config.Source, o Options) (transport.Options, error) {
	own := append([]string{s.FHIR}, s.TokenOrigins...)
	way := transport.Options{
		UserAgent:     o.UserAgent,
		AllowHTTP:     s.AllowHTTP,
		Header:        headers(s, config.HeaderAll),
		HeaderOrigins: own,
		HeaderTimeout: o.Patience.Header,
		OnceTimeout:   o.Patience.Header,
		StallTimeout:  o.Patience.Stall,
	}
	var err error
	if s.Proxy != "" {
		if way.Proxy, err = url.Parse(s.Proxy.Reveal()); err != nil {
			return way, fmt.Errorf("source %s: the proxy is not a valid URL", s.Name) // err would quote its password
		}
	}
	if s.TLS.ClientCert != "" {
		if way.Certificate, err = transport.LoadCertificate(s.TLS.ClientCert, s.TLS.ClientKey); err != nil {
			return way, &SourceError{s.Name, err, "check tls.client_cert and tls.client_key: they must be PEM files of a certificate and its key"}
		}
		way.CertificateOrigins = certificateOrigins(s)
	}
	if s.TLS.CA != "" {
		if way.Authorities, err = transport.LoadAuthorities(s.TLS.CA); err != nil {
			return way, &SourceError{s.Name, err, "check tls.ca: it must be a PEM file of certificates"}
		}
	}
	return way, nil
}

// certificateOrigins returns the origins that get a source's client certificate: those that
// get its credentials, and those that issue them.
func certificateOrigins(s config.Source) []string {
	origins := append([]string{s.FHIR}, s.TokenOrigins...)
	for _, u := range []string{s.Auth.TokenURL, s.Auth.CodeURL} {
		if u != "" {
			origins = append(origins, u)
		}
	}
	return origins
}
