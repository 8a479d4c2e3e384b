package bulk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"fhirkiln/transport"
)

// Job is an export at the server.
type Job struct {
	// StatusURL is the URL to poll and to delete. Treat it as a secret: some servers put a
	// token into it.
	StatusURL string

	// SeparateStatus means that the server agreed to send the export's status in the
	// header X-Export-Status (Preference-Applied, IG 3.0.0).
	SeparateStatus bool

	// Adopted means that the export was already running and was adopted.
	Adopted bool

	// Issues are warnings that came with the acceptance, such as which parameters the
	// server ignored.
	Issues []Issue

	// Manifest is set if the server answered the kick-off with the manifest at once, as
	// 1upHealth's synchronous form does; StatusURL is then empty.
	Manifest *Manifest
}

const startingExport = "starting the export"

// KickOff starts an export. It retries only if the server cannot have started one: if no
// connection was made, and on 429 and 503. It is not idempotent: a caller that loses the
// response must ask the server's owner.
//
// If the server refuses because exports of this client are already running, and names their
// status URLs, KickOff adopts one if it is complete, its manifest names this kick-off, and no
// other caller of this Client follows it. Otherwise KickOff waits for the others to end,
// within Options.Poll.
//
// If ctx ends after the kick-off was sent, KickOff waits half a minute for the response. A Job
// from a 202 is then returned without an error, and the caller must record or delete it.
//
// A Job with a StatusURL beside an error is an export that runs but cannot be followed.
func (c *Client) KickOff(ctx context.Context, r Request) (Job, error) {
	req, err := c.kickOffRequest(r)
	if err != nil {
		return Job{}, err
	}
	deadline := time.Now().Add(c.poll.Deadline)
	for waits := 0; ; waits++ {
		resp, err := c.send(ctx, c.starting, req) //nolint:bodyclose // accepted, busy, readManifest and failure close it
		if err != nil {
			return Job{}, startUnknown(err)
		}
		if ctx.Err() != nil && resp.StatusCode != http.StatusAccepted && resp.StatusCode != http.StatusOK {
			resp.Body.Close()
			return Job{}, context.Cause(ctx)
		}
		switch resp.StatusCode {
		case http.StatusAccepted:
			return c.accepted(req.url, resp)
		case http.StatusOK:
			first, err := c.readManifest(ctx, startingExport, req.url, resp, amount{})
			if e, ok := errors.AsType[*transport.Error](err); ok && e.Stray && len(locations(resp)) > 0 {
				return c.accepted(req.url, resp) // a 200 that means 202
			}
			if err != nil {
				return Job{}, err
			}
			ctx, cancel := c.withDeadline(ctx)
			defer cancel()
			m, err := c.withNextPages(ctx, first)
			if err != nil {
				return Job{}, err
			}
			return Job{Manifest: m}, nil
		case http.StatusTooManyRequests:
			running := c.runningJobs(resp)
			pause := c.pause(resp.Header, waits)
			e := failure(startingExport, req.url, resp)
			e.Hint = "the server is busy, perhaps with another export of this client: run again later"
			if r.MakeRoom != nil && r.MakeRoom(ctx) {
				continue
			}
			if len(running) == 0 || !time.Now().Add(pause).Before(deadline) {
				return Job{}, e
			}
			job, err := c.adopt(ctx, r, req.url, running)
			if err != nil || job.StatusURL != "" {
				return job, err
			}
			c.log.Warn("the server is busy with another export of this client; trying again", "in", pause.Round(time.Millisecond), "error", e)
			if err := transport.Sleep(ctx, pause); err != nil {
				return Job{}, err
			}
		default:
			return Job{}, startUnknown(failure(startingExport, req.url, resp, r.known()...))
		}
	}
}

// startUnknown adds to the error of a kick-off that got no response, or a gateway's instead of
// the server's, that the export may have started.
func startUnknown(err error) error {
	e, ok := errors.AsType[*transport.Error](err)
	if !ok || e.Doing != startingExport || e.Kind != transport.Unavailable || kickOffAgain(nil, err) {
		return err
	}
	const begun = "the export may have started anyway"
	lost := *e
	switch {
	case e.Said != "", e.Status == http.StatusServiceUnavailable, e.Status > 0 && e.Status < 500:
		return err // from the server itself, or from a gateway that did not forward the request
	case e.Err == nil:
		lost.Err = errors.New(begun)
	default:
		lost.Err = fmt.Errorf("%w; %s", e.Err, begun)
	}
	lost.Hint = "run again later; if the server is then busy with an export that no run follows, ask its owner to delete that export"
	return &lost
}

// known returns words of the request that come from the config and identify no person.
func (r Request) known() []string {
	words := slices.Clone(r.Types)
	if r.Group != "" {
		words = append(words, r.Group, "Group/"+r.Group)
	}
	return words
}

func (c *Client) kickOffRequest(r Request) (request, error) {
	path, err := r.path()
	if err != nil {
		return request{}, err
	}
	if len(r.Patients) > 0 && !r.Post {
		return request{}, errors.New("bulk: a list of patients requires POST")
	}
	req := request{doing: startingExport, method: http.MethodGet, url: c.base.String() + path, once: true, header: http.Header{}}
	// Without this, HAPI answers an equal request with an old job.
	req.header.Set("Cache-Control", "no-cache")
	prefer := r.prefer()
	for name, value := range r.Header {
		if strings.EqualFold(name, "Prefer") {
			prefer += ", " + value
			continue
		}
		req.header.Set(name, value)
	}
	req.header.Set("Accept", "application/fhir+json")
	req.header.Set("Prefer", prefer)
	if !r.Post {
		req.url += "?" + r.query().Encode()
		return req, nil
	}
	req.method = http.MethodPost
	req.header.Set("Content-Type", "application/fhir+json")
	req.body = r.resource()
	return req, nil
}

// accepted reads a 202, or a 200 whose body has been read. It closes the body.
func (c *Client) accepted(u string, resp *http.Response) (Job, error) {
	var job Job
	if body, err := outcomeBody(resp); err == nil {
		if o, ok := parseOutcome(body); ok {
			for _, i := range o.Issues {
				job.Issues = append(job.Issues, i.counted())
			}
		}
	}
	where := locations(resp)
	if len(where) == 0 {
		err := errors.New("the response has no readable Content-Location, so the export's status cannot be polled")
		return job, &transport.Error{Kind: transport.Broken, Doing: startingExport, URL: u, Status: resp.StatusCode, Err: err,
			Hint: "the server does not follow the Bulk Data IG here; ask its owner"}
	}
	job.StatusURL = where[0]
	for applied := range strings.SplitSeq(strings.Join(resp.Header.Values("Preference-Applied"), ","), ",") {
		name, _, _ := strings.Cut(applied, "=")
		job.SeparateStatus = job.SeparateStatus || strings.EqualFold(strings.TrimSpace(name), "separate-export-status")
	}
	if err := c.mayAuthorize(job.StatusURL); err != nil {
		return job, &transport.Error{Kind: transport.Broken, Doing: startingExport, URL: u, Err: err,
			Hint: hintElsewhere(err)}
	}
	c.following.add(job.StatusURL)
	return job, nil
}

const (
	maxLocation  = 8 << 10 // bytes in a header that status URLs are read from
	maxLocations = 100     // status URLs that are read
)

// locations returns a response's status URLs, from Content-Location, or from Location as in
// Smile CDR's tutorial. They may be absolute or relative to the request, and several may form a
// comma list, as AB2D sends. Unreadable URLs and those over the limits are left out.
func locations(resp *http.Response) []string {
	values := resp.Header.Values("Content-Location")
	if len(values) == 0 {
		values = resp.Header.Values("Location")
	}
	var all []string
	add := func(raw string) {
		raw = strings.TrimSpace(raw)
		if raw == "" || len(all) == maxLocations {
			return
		}
		if u, err := resp.Request.URL.Parse(raw); err == nil && u.Host != "" && !slices.Contains(all, u.String()) {
			all = append(all, u.String())
		}
	}
	for _, v := range values {
		if len(v) > maxLocation {
			continue
		}
		begun, at := 0, 0 // where the current URL and part begin
		for part := range strings.SplitSeq(v, ",") {
			trimmed := strings.TrimSpace(part)
			// Any other comma is part of the URL.
			if at > begun && (strings.TrimSpace(v[begun:at-1]) == "" || strings.HasPrefix(trimmed, "https://") || strings.HasPrefix(trimmed, "http://") || strings.HasPrefix(trimmed, "/")) {
				add(v[begun : at-1])
				begun = at
			}
			at += len(part) + 1
		}
		add(v[begun:])
	}
	return all
}

// kickOffAgain allows another attempt only if no export can have been started. A 429 that
// names a running export is left to KickOff.
func kickOffAgain(resp *http.Response, err error) bool {
	if err != nil {
		var op *net.OpError
		return errors.As(err, &op) && op.Op == "dial"
	}
	return resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Content-Location") == "" || resp.StatusCode == http.StatusServiceUnavailable
}

// runningJobs returns the status URLs in a 429 that our credentials may be sent to.
func (c *Client) runningJobs(resp *http.Response) []string {
	return slices.DeleteFunc(locations(resp), func(u string) bool { return c.mayAuthorize(u) != nil })
}

// adopt finds a complete export of the kick-off r by the request in its manifest, or returns a
// zero Job. It never adopts for a POST, whose request is a URL without the parameters.
func (c *Client) adopt(ctx context.Context, r Request, kickOff string, running []string) (Job, error) {
	const doing = "checking an export that is already running"
	if r.Post {
		return Job{}, nil
	}
	for _, status := range running {
		if c.following.has(status) {
			continue
		}
		resp, err := c.send(ctx, c.plain, request{doing: doing, method: http.MethodGet, url: status,
			header: statusHeader()})
		if ctx.Err() != nil {
			return Job{}, context.Cause(ctx)
		}
		if err != nil {
			c.log.Debug("cannot check an export that is already running", "error", err)
			continue
		}
		if resp.StatusCode != http.StatusOK {
			resp.Body.Close()
			continue
		}
		if p, err := c.readManifest(ctx, doing, status, resp, amount{}); err == nil && sameRequest(p.request, kickOff) && c.following.add(status) {
			return Job{StatusURL: status, Adopted: true}, nil
		}
	}
	return Job{}, nil
}

// sameRequest reports whether a manifest's request is kickOff: the same path and parameters.
// Behind a gateway, the host may differ.
func sameRequest(request, kickOff string) bool {
	a, errA := url.Parse(request)
	b, errB := url.Parse(kickOff)
	if errA != nil || errB != nil || a.Path != b.Path {
		return false
	}
	return a.Query().Encode() == b.Query().Encode() // sorted by name
}
