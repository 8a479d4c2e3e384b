// Package bulk is a client for the FHIR Bulk Data Access API: kick-off, status,
// manifest, verified file streams, delete. It knows nothing about Parquet and keeps no
// state between runs.
//
// Typical use:
//
//	client, err := bulk.New(bulk.Options{Base: base, HTTP: client, Credentials: credentials})
//	job, err := client.KickOff(ctx, bulk.Request{Level: bulk.Group, Group: "1234"})
//	manifest, err := client.Wait(ctx, job, func(p bulk.Progress) { … })
//	for _, file := range manifest.Output {
//		stream, err := client.Open(ctx, manifest, file)
//		// read stream to EOF: each byte once, or an error
//	}
//	err = client.Delete(ctx, job)
//
// Failures are [*transport.Error]s, whose Kind says what the user can do, or the cause
// of a canceled context.
//
// The package follows the Bulk Data Access IG, 2.0.0 to 3.0.0
// (https://hl7.org/fhir/uv/bulkdata/), and for manifests also the 4.0.0 ballot;
// docs/conformance.md lists what is implemented where.
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

// Credentials supplies the credential for requests; [*auth.Cache] implements it. Its
// methods are called from many goroutines at once. Credential blocks while one is being
// fetched, until ctx ends. Reject reports that the server refused one with 401.
type Credentials interface {
	Credential(ctx context.Context) (auth.Credential, error)
	Reject(auth.Credential)
}

// Options configures a [Client]. Base and HTTP are required.
type Options struct {
	// Base is the FHIR base URL: kick-offs go to Base + "/$export". Its origin (scheme, host,
	// port) gets the credentials, as do TokenOrigins.
	Base string

	// HTTP sends the requests. It is a client of package transport without retries; bulk
	// adds them where a request may safely be sent again.
	HTTP *http.Client

	// Credentials are sent to Base's origin and to TokenOrigins. If nil, none are sent.
	Credentials Credentials

	// TokenOrigins are further origins, "scheme://host[:port]", that get the credentials:
	// some servers hand out status URLs and files under another host name of theirs.
	TokenOrigins []string

	// FileHosts are origins, "scheme://host[:port]", of storage that holds output files.
	// Files there are requested without credentials, whatever the manifest's
	// requiresAccessToken says. If FileHosts is not empty, all files must be there or at
	// the origins that get the credentials; otherwise files that need no token may be
	// anywhere.
	FileHosts []string

	// Log gets lines that help to follow a run. They hold no unredacted URL, no credential
	// and no patient data. Nil discards them.
	Log *slog.Logger

	// Poll bounds the wait for an export.
	Poll Poll

	// Retry configures retries of a single request when the network or the server falters.
	// The zero value retries four times within about a minute.
	Retry transport.Retry

	// FileAttempts is how many times in a row an output file is opened at the same offset,
	// without a byte of progress, before its stream fails. It also bounds how often the
	// file is fetched to its end. Default 5: AB2D allows six downloads of a file. A server
	// that does not answer at all gets Retry.Max more attempts.
	FileAttempts int
}

// Poll bounds the wait for an export.
type Poll struct {
	// Min and Max bound the pause between polls, whatever the server asks for in
	// Retry-After. Defaults 1 s and 5 min. Servers have asked for 0 and for five hours.
	Min, Max time.Duration

	// Deadline bounds the whole wait for one export. Default 24 h: a nightly run that
	// waits longer has missed its night. Epic is known to take weeks.
	Deadline time.Duration

	// Outage is how long polls may fail before the wait ends with an error; the job is not
	// deleted. Default 30 min.
	Outage time.Duration
}

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	base        *url.URL
	tokenFor    map[string]bool // origins
	fileHosts   map[string]bool // origins; empty means any
	plain       *http.Client    // without retries
	retrying    *http.Client    // for requests that change nothing at the server
	starting    *http.Client    // for kick-offs
	ending      *http.Client    // for deletes
	credentials Credentials
	log         *slog.Logger
	poll        Poll
	retry       transport.Retry
	attempts    int
	pageBytes   int64 // maxManifest, or less in tests
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
		return nil, fmt.Errorf("bulk: the FHIR base URL %s must not have a query, a user or a fragment", transport.Redact(o.Base))
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
		retry:     o.Retry.WithDefaults(),
		attempts:  cmp.Or(o.FileAttempts, 5),
		pageBytes: maxManifest,
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
	c.retry.Log = c.log
	c.retrying = transport.Retrying(o.HTTP, c.retry)
	starting := c.retry
	starting.Again = kickOffAgain
	lingering := *o.HTTP
	lingering.Transport = lingeringTransport{cmp.Or(o.HTTP.Transport, http.DefaultTransport), c.log}
	c.starting = transport.Retrying(&lingering, starting)
	ending := c.retry
	ending.Again = deleteAgain
	c.ending = transport.Retrying(o.HTTP, ending)
	return c, nil
}

// origins parses a list of origins.
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
