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
	// StatusURL is where to poll, and what to delete. Whoever has it may have to
	// keep it secret: some servers put a token into it.
	StatusURL string

	// SeparateStatus says that the server agreed to tell the export's status in the
	// header X-Export-Status (Preference-Applied, IG 3.0.0).
	SeparateStatus bool

	// Adopted says that the export ran already and was taken over.
	Adopted bool

	// Issues are warnings that came with the acceptance, such as which parameters were
	// passed over.
	Issues []Issue

	// Manifest is set when the server answered the kick-off with it at once, as
	// 1upHealth's synchronous form does; StatusURL is then empty.
	Manifest *Manifest
}

const startingExport = "starting the export"

// KickOff starts an export. It is sent again only where the server cannot have
// started one: when no connection came about, and on 429 and 503. It is not
// idempotent: a caller that loses its answer must ask the server's owner.
//
// A server that refuses because an export of this client runs already, and says where,
// has that one taken over if it is ours: if it is complete, its manifest names this kick-off,
// and no other caller of this Client goes on with it. Until then KickOff waits for the others
// to end, within Options.Poll.
//
// When ctx ends, a kick-off that was sent is still waited for, for half a minute: the Job of a 202
// is then returned without an error, and is the caller's to write down or to delete.
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
			return Job{}, mayRun(err)
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
				return c.accepted(req.url, resp) // it says 200 and means 202
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
			c.log.Warn("the server is busy with another export of this client; starting later", "in", pause.Round(time.Millisecond), "error", e)
			if err := transport.Sleep(ctx, pause); err != nil {
				return Job{}, err
			}
		default:
			return Job{}, mayRun(failure(startingExport, req.url, resp, r.known()...))
		}
	}
}

// mayRun says of a kick-off that got no answer, or a gateway's in place of the server's, what
// nobody knows.
func mayRun(err error) error {
	e, ok := errors.AsType[*transport.Error](err)
	if !ok || e.Doing != startingExport || e.Kind != transport.Unavailable || kickOffAgain(nil, err) {
		return err
	}
	const begun = "the export may have begun all the same"
	lost := *e
	switch {
	case e.Said != "", e.Status == http.StatusServiceUnavailable, e.Status > 0 && e.Status < 500:
		return err // it is the server's word, or that of something that did not pass it on
	case e.Err == nil:
		lost.Err = errors.New(begun)
	default:
		lost.Err = fmt.Errorf("%w; %s", e.Err, begun)
	}
	lost.Hint = "run again later; if the server is then busy with an export that nobody follows, ask its owner to delete it"
	return &lost
}

// known are words of the request that are of the config, and of no person.
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
		return request{}, errors.New("bulk: a list of patients can only be sent by POST")
	}
	req := request{doing: startingExport, method: http.MethodGet, url: c.base.String() + path, once: true, header: http.Header{}}
	// HAPI answers an equal request with an old job, unless asked not to.
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

// accepted reads a 202, or a 200 whose body was read. It closes the body.
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
		err := errors.New("the export was accepted without a Content-Location that can be read, so its status cannot be asked for")
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
	maxLocation  = 8 << 10 // how long a header may be that status URLs are read from, in bytes
	maxLocations = 100     // how many of them are read
)

// locations are the status URLs of an answer: Content-Location, or Location as Smile
// CDR's tutorial has it; absolute, or relative to the request; several as a comma list,
// as AB2D has them. What cannot be read is left out, and so is what is too much.
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
		begun, at := 0, 0 // where the URL and the part begin
		for part := range strings.SplitSeq(v, ",") {
			trimmed := strings.TrimSpace(part)
			// Another comma is the URL's own.
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

// kickOffAgain allows another attempt only where no export can have been started. A
// 429 that names a running export is for KickOff to think about.
func kickOffAgain(resp *http.Response, err error) bool {
	if err != nil {
		var op *net.OpError
		return errors.As(err, &op) && op.Op == "dial"
	}
	return resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Content-Location") == "" || resp.StatusCode == http.StatusServiceUnavailable
}

// runningJobs are the status URLs in a 429 that may be asked with our credentials.
func (c *Client) runningJobs(resp *http.Response) []string {
	return slices.DeleteFunc(locations(resp), func(u string) bool { return c.mayAuthorize(u) != nil })
}

// adopt finds the export that is of the kick-off r and complete, by what its manifest says of
// the request, or returns a zero Job. The request of a POST is a URL that tells nothing of its
// parameters.
func (c *Client) adopt(ctx context.Context, r Request, kickOff string, running []string) (Job, error) {
	const doing = "looking at an export that runs already"
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
			c.log.Debug("an export that runs already says nothing", "error", err)
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

// sameRequest says whether a manifest's request is a kick-off: the same path and
// parameters. The host may be another, behind a gateway.
func sameRequest(request, kickOff string) bool {
	a, errA := url.Parse(request)
	b, errB := url.Parse(kickOff)
	if errA != nil || errB != nil || a.Path != b.Path {
		return false
	}
	return a.Query().Encode() == b.Query().Encode() // in the order of the names
}
