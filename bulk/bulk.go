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
// (https://hl7.org/fhir/uv/bulkdata/).
package bulk

import (
	"cmp"
	"context"
	"fmt"
	"io"
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

	// Credentials for Base's origin; nil sends none.
	Credentials Credentials

	// Log gets lines that help to follow a run: no URL unredacted, no credential, no
	// patient data. Nil discards them.
	Log *slog.Logger

	// Poll bounds the waiting for an export.
	Poll Poll

	// Retry says how patiently one request is sent again when network or server
	// falter. The zero value is four more times within about a minute.
	Retry transport.Retry

	// FileAttempts is how many times an output file is opened before its stream
	// fails. Default 5: AB2D lets a file be fetched six times, all told.
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
	plain       *http.Client // sends once
	retrying    *http.Client // for requests that change nothing at the server
	starting    *http.Client // for kick-offs
	credentials Credentials
	log         *slog.Logger
	poll        Poll
	retry       transport.Retry
	attempts    int
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
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.retry.MinWait = cmp.Or(o.Retry.MinWait, 500*time.Millisecond)
	c.retry.MaxWait = cmp.Or(o.Retry.MaxWait, time.Minute)
	c.retry.Log = c.log
	c.retrying = transport.Retrying(o.HTTP, c.retry)
	starting := c.retry
	starting.Again = kickOffAgain
	c.starting = transport.Retrying(o.HTTP, starting)
	return c, nil
}

// request describes one exchange.
type request struct {
	doing  string // for errors: "starting the export"
	method string
	url    string
	header http.Header
	body   string // "" is none
	public bool   // send no credential, ever
	once   bool   // not to be sent again by net/http either, see transport.New
}

// send sends r by way of client, with a credential if r's URL is of the origin that it
// is for. A 401 renews the credential once. The answer's body is the caller's to close.
func (c *Client) send(ctx context.Context, client *http.Client, r request) (*http.Response, error) {
	u, err := url.Parse(r.url)
	if err != nil {
		return nil, &transport.Error{Kind: transport.Broken, Doing: r.doing, Said: "the server gave an unreadable URL", Hint: "ask the server's owner"}
	}
	var used auth.Credential
	for try := 1; ; try++ {
		var body io.Reader
		if r.body != "" {
			body = strings.NewReader(r.body)
		}
		req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
		if err != nil {
			return nil, &transport.Error{Kind: transport.Broken, Doing: r.doing, URL: r.url, Err: transport.Cause(err), Hint: "ask the server's owner"}
		}
		req.Close = r.once
		for name, values := range r.header {
			req.Header[name] = values
		}
		authorized := c.credentials != nil && !r.public && transport.SameOrigin(u, c.base)
		if authorized {
			if used, err = c.credentials.Credential(ctx); err != nil {
				return nil, err
			}
			used.Apply(req.Header)
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, transport.NoAnswer(ctx, r.doing, r.url, err)
		}
		if resp.StatusCode != http.StatusUnauthorized || !authorized || try > 1 {
			return resp, nil
		}
		io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
		resp.Body.Close()
		c.log.Debug("the server refused the token; getting another", "doing", r.doing)
		c.credentials.Reject(used)
	}
}

// failure reads an answer that is not what was wanted and says so, in the server's
// own words where it has any. It closes the body.
func failure(doing, u string, resp *http.Response) *transport.Error {
	e := &transport.Error{Kind: transport.KindOf(resp.StatusCode), Doing: doing, URL: u, Status: resp.StatusCode}
	if body, err := outcomeBody(resp); err == nil {
		if o, ok := parseOutcome(body); ok {
			e.Said = o.String()
		} else if looksLikeMarkup(body) {
			e.Said = "a web page, not FHIR"
		}
	}
	switch e.Kind {
	case transport.Denied:
		e.Hint = "the token was accepted nowhere or lacks the right: check the scope, and that this client may export here"
	case transport.NotThere:
		e.Hint = "check the source's fhir: URL (it ends where /$export begins), the level and the group"
	case transport.Unavailable:
		e.Hint = "run again later"
	case transport.Refused:
		e.Hint = "change what the server objects to in the feed (types, since, filters, level)"
	default:
		e.Hint = "ask the server's owner: this answer means nothing here"
	}
	return e
}

// Delete tells the server that the job's files are no longer needed, or that a running
// job is to be canceled (IG, "Bulk Data Delete Request"). Calling it again is harmless.
func (c *Client) Delete(ctx context.Context, job Job) error {
	if job.StatusURL == "" {
		return nil // answered without a job
	}
	const doing = "deleting the export at the server"
	resp, err := c.send(ctx, c.retrying, request{doing: doing, method: http.MethodDelete, url: job.StatusURL,
		header: http.Header{"Accept": {"application/fhir+json"}}})
	if err != nil {
		return err
	}
	switch {
	case resp.StatusCode < 300, resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		resp.Body.Close()
		return nil
	}
	return failure(doing, job.StatusURL, resp)
}
