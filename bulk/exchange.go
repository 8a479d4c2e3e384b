package bulk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"fhirkiln/auth"
	"fhirkiln/transport"
)

// request describes one exchange.
type request struct {
	doing  string // for errors: "starting the export"
	method string
	url    string
	header http.Header
	body   string // "" means none
	public bool   // never send a credential
	once   bool   // not even net/http may send it again, see transport.New
}

// send sends r through client, with a credential if r's URL is at an origin that gets it.
// On a 401 it renews the credential once; what cannot be renewed is sent once more, since a gateway
// may answer so by mistake. The caller must close the response's body.
func (c *Client) send(ctx context.Context, client *http.Client, r request) (*http.Response, error) {
	u, err := url.Parse(r.url)
	if err != nil {
		return nil, &transport.Error{Kind: transport.Broken, Doing: r.doing, Err: errors.New("the server gave an unreadable URL"), Hint: "ask the server's owner"}
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
		maps.Copy(req.Header, r.header)
		if err := c.maySend(ctx, r); err != nil {
			return nil, err
		}
		authorized := c.credentials != nil && !r.public && c.tokenFor[transport.Origin(u)]
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
		io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be reused
		resp.Body.Close()
		c.log.Debug("the server refused the credentials; renewing them", "doing", r.doing)
		c.credentials.Reject(used)
	}
}

// maySend checks that a client whose credential allows only GET sends nothing else, not
// even to origins that do not get the credential.
func (c *Client) maySend(ctx context.Context, r request) error {
	if c.credentials == nil || r.method == http.MethodGet {
		return nil
	}
	own, err := c.credentials.Credential(ctx)
	if err != nil {
		return err
	}
	if own.GETOnly() {
		return &transport.Error{Kind: transport.Refused, Doing: r.doing, URL: r.url,
			Err: errors.New("these credentials allow only GET"), Hint: "kick off with GET (method), or export for one user"}
	}
	return nil
}

var errInTheClear = errors.New("an unencrypted http URL")

// hintElsewhere returns the hint for a URL that mayAuthorize refuses.
func hintElsewhere(err error) string {
	if errors.Is(err, errInTheClear) {
		return "ask the server's owner to use https links: a proxy in front of the server may hide from it that requests use https"
	}
	return "use the fhir: URL that the server uses for itself, or add that origin to the source's token_origins"
}

// mayAsk checks that a URL from the server does not lead from https to plain http, except at
// origins that the user has named. The same goes for redirects.
func (c *Client) mayAsk(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("the server gave an unreadable URL")
	}
	origin := transport.Origin(u)
	if c.base.Scheme == "https" && u.Scheme != "https" && !c.tokenFor[origin] && !c.fileHosts[origin] {
		return fmt.Errorf("the server gave %w, at %s; it was not requested", errInTheClear, origin)
	}
	return nil
}

// mayAuthorize checks that a URL that wants our credential is at an origin that gets it.
func (c *Client) mayAuthorize(raw string) error {
	if err := c.mayAsk(raw); err != nil {
		return err
	}
	if c.credentials == nil {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("the server gave an unreadable URL")
	}
	if !c.tokenFor[transport.Origin(u)] {
		return errors.New("the server wants the token of " + transport.Origin(c.base) + " at another origin, " + transport.Origin(u) + "; it is not sent there")
	}
	return nil
}

// failure turns an unsuccessful response into an error with the server's own words, if it
// has any. known are words of the request that may be kept when the server repeats them.
// failure closes the body.
func failure(doing, u string, resp *http.Response, known ...string) *transport.Error {
	e, _ := refusal(doing, u, resp, known...)
	return e
}

// refusal is like failure, but also returns the OperationOutcome, if there was one.
func refusal(doing, u string, resp *http.Response, known ...string) (*transport.Error, Outcome) {
	var o Outcome
	e := &transport.Error{Kind: transport.KindOf(resp.StatusCode), Doing: doing, URL: u, Status: resp.StatusCode}
	if body, err := outcomeBody(resp); err == nil {
		var ok bool
		if o, ok = parseOutcome(body); ok {
			e.Said = o.words(known...)
		} else if looksLikeMarkup(body) {
			e.Err = errors.New("a web page, not FHIR")
		}
	}
	switch e.Kind {
	case transport.Denied:
		e.Hint = "the server does not accept the credentials, or they do not permit this: check them (with a token, also the scope), and that this client may export here"
		if e.Status == http.StatusUnauthorized {
			e.Hint += "; if you supplied a token yourself, it may have expired"
		}
	case transport.NotThere:
		e.Hint = "check the source's fhir: URL (it ends where /$export begins), the level and the group"
	case transport.Unavailable:
		e.Hint = "run again later"
	case transport.Refused:
		e.Hint = "change what the server objects to in the feed (types, since, filters, level)"
	default:
		e.Hint = "ask the server's owner: this response makes no sense here"
	}
	return e, o
}

// Delete tells the server that the job's files are no longer needed, or cancels a running
// job (IG, "Bulk Data Delete Request"). Calling it again is harmless.
func (c *Client) Delete(ctx context.Context, job Job) error {
	const doing = "deleting the export at the server"
	switch {
	case job.StatusURL != "":
	case job.Manifest != nil:
		return nil // the kick-off was answered without a job
	default:
		return fmt.Errorf("%s: %w", doing, errNoStatusURL)
	}
	c.renewals.drop(job.StatusURL)
	resp, err := c.send(ctx, c.ending, request{doing: doing, method: http.MethodDelete, url: job.StatusURL,
		header: http.Header{"Accept": {acceptStatus}}})
	if err != nil {
		return err
	}
	if !transport.Passing(resp.StatusCode) {
		c.following.drop(job.StatusURL) // the export is gone, or the server keeps it anyway
	}
	switch {
	case resp.StatusCode < 300, resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		resp.Body.Close()
		return nil
	}
	return failure(doing, job.StatusURL, resp)
}

// deleteAgain allows another attempt if the server may only be busy. A 500 does not count:
// HAPI always answers the DELETE of a failed export with it.
func deleteAgain(resp *http.Response, err error) bool {
	return transport.AnyFailure(resp, err) && (err != nil || resp.StatusCode != http.StatusInternalServerError)
}

// originOf returns a URL's origin.
func originOf(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("the server gave an unreadable URL")
	}
	return transport.Origin(u), nil
}
