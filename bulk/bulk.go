// Package bulk is a client of the FHIR Bulk Data Access API: kick-off, status,
// manifest, verified file streams, delete. It knows no Parquet and keeps no state
// between runs.
//
// The common path:
//
//	client, err := bulk.New(bulk.Options{Base: base, HTTP: client, Credentials: credentials})
//	job, err := client.KickOff(ctx, bulk.Request{Level: bulk.Group, Group: "1234"})
//	manifest, err := client.Wait(ctx, job, func(p bulk.Progress) { … })
//	for _, file := range manifest.Output {
//		stream, err := client.Open(ctx, manifest, file)
//		// read stream to its end: each byte once, or an error
//	}
//	err = client.Delete(ctx, job)
//
// Failures are [*transport.Error]s, whose Kind says what the user can do, or the cause
// of a canceled context.
//
// The text that this follows is the Bulk Data Access IG, 2.0.0 to 3.0.0
// (https://hl7.org/fhir/uv/bulkdata/), and for manifests the 4.0.0 ballot;
// docs/conformance.md says line by line what is done where.
package bulk

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fhirkiln/auth"
	"fhirkiln/transport"
)

// Credentials supplies what says who is asking; [*auth.Cache] is one. Methods are
// called from many goroutines at once. Credential blocks while one is being fetched,
// until ctx ends; Reject says that the server refused one with 401.
type Credentials interface {
	Credential(ctx context.Context) (auth.Credential, error)
	Reject(auth.Credential)
}

// Options say which server to talk to and how patiently. Base and HTTP are required.
type Options struct {
	// Base is the FHIR base URL: kick-offs go to Base + "/$export". Credentials go to
	// its origin (scheme, host, port) and to no other.
	Base string

	// HTTP sends the requests: a client of package transport, without retries, which
	// are added here where a request may safely be sent again.
	HTTP *http.Client

	// Credentials for Base's origin and TokenOrigins; nil sends none.
	Credentials Credentials

	// TokenOrigins are further origins, "scheme://host[:port]", that the credentials are
	// for: servers hand out status URLs and files at another name of theirs.
	TokenOrigins []string

	// FileHosts are origins, "scheme://host[:port]", of storage that output files lie at.
	// Files there are asked for without credentials, whatever the manifest says of
	// requiresAccessToken. If there are any, files that need no token may lie nowhere
	// else but there and where the credentials go; without, they may lie anywhere.
	FileHosts []string

	// Log gets lines that help to follow a run: no URL unredacted, no credential, no
	// patient data. Nil discards them.
	Log *slog.Logger

	// Poll bounds the waiting for an export.
	Poll Poll

	// Retry says how patiently one request is sent again when network or server
	// falter. The zero value is four more times within about a minute.
	Retry transport.Retry

	// FileAttempts is how many times in a row an output file is opened at the same place,
	// without a byte of progress, before its stream fails. It also bounds how often the
	// file is fetched to its end. Default 5: AB2D lets a file be fetched six times. A
	// server that does not answer at all gets Retry.Max more.
	FileAttempts int
}

// Poll bounds the waiting for an export.
type Poll struct {
	// Min and Max bound the pause between two looks at the status, whatever the server
	// asks for in Retry-After. Defaults 1 s and 5 min. Servers have asked for 0 and for
	// five hours.
	Min, Max time.Duration

	// Deadline bounds the whole wait for one export. Default 24 h: a nightly run that
	// waits longer has missed its night. Epic is known to take weeks.
	Deadline time.Duration

	// Outage is how long the server may fail to answer the question for the status
	// before the wait ends with an error; the job stays. Default 30 min.
	Outage time.Duration
}

// Client talks to one server. Safe for concurrent use.
type Client struct {
	base        *url.URL
	tokenFor    map[string]bool // origins
	fileHosts   map[string]bool // origins; empty: any
	plain       *http.Client    // sends once
	retrying    *http.Client    // for requests that change nothing at the server
	starting    *http.Client    // for kick-offs
	ending      *http.Client    // for deletes
	credentials Credentials
	log         *slog.Logger
	poll        Poll
	retry       transport.Retry
	attempts    int
	gates       gates
	renewals    renewals
	following   following
}

// New checks the options and fills in defaults. It sends nothing.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.Base, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("bulk: %q is not the http(s) URL of a FHIR server", transport.Redact(o.Base))
	}
	if base.RawQuery != "" || base.User != nil || base.Fragment != "" {
		return nil, fmt.Errorf("bulk: the FHIR base URL %s must have no query, no user and no fragment", transport.Redact(o.Base))
	}
	if o.HTTP == nil {
		return nil, fmt.Errorf("bulk: Options.HTTP is missing")
	}
	c := &Client{
		base:        base,
		plain:       o.HTTP,
		credentials: o.Credentials,
		log:         o.Log,
		poll: Poll{
			Min:      cmp.Or(o.Poll.Min, time.Second),
			Max:      cmp.Or(o.Poll.Max, 5*time.Minute),
			Deadline: cmp.Or(o.Poll.Deadline, 24*time.Hour),
			Outage:   cmp.Or(o.Poll.Outage, 30*time.Minute),
		},
		retry:    o.Retry,
		attempts: cmp.Or(o.FileAttempts, 5),
	}
	if c.tokenFor, err = origins("TokenOrigins", o.TokenOrigins); err != nil {
		return nil, err
	}
	if c.fileHosts, err = origins("FileHosts", o.FileHosts); err != nil {
		return nil, err
	}
	c.tokenFor[transport.Origin(base)] = true
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.retry.Max = cmp.Or(max(o.Retry.Max, 0), 4)
	c.retry.MinWait = cmp.Or(o.Retry.MinWait, 500*time.Millisecond)
	c.retry.MaxWait = cmp.Or(o.Retry.MaxWait, time.Minute)
	c.retry.Log = c.log
	c.retrying = transport.Retrying(o.HTTP, c.retry)
	starting := c.retry
	starting.Again = kickOffAgain
	waited := *o.HTTP
	waited.Transport = awaited{cmp.Or(o.HTTP.Transport, http.DefaultTransport), c.log}
	c.starting = transport.Retrying(&waited, starting)
	ending := c.retry
	ending.Again = deleteAgain
	c.ending = transport.Retrying(o.HTTP, ending)
	return c, nil
}

// origins reads a list of origins.
func origins(option string, list []string) (map[string]bool, error) {
	set := make(map[string]bool, len(list)+1)
	for _, raw := range list {
		u, err := url.Parse(strings.TrimRight(raw, "/"))
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
			return nil, fmt.Errorf("bulk: %s: %q is not an origin, scheme://host[:port]", option, transport.Redact(raw))
		}
		set[transport.Origin(u)] = true
	}
	return set, nil
}
