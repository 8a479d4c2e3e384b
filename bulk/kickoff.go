package bulk

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fhirkiln/transport"
)

// Level is what an export is of (IG, "Bulk Data Kick-off Request", endpoints).
type Level string

// The levels of an export.
const (
	System  Level = "system"  // [base]/$export
	Patient Level = "patient" // [base]/Patient/$export
	Group   Level = "group"   // [base]/Group/[id]/$export
)

// Request is a kick-off. Fields that are zero are not sent.
type Request struct {
	Level Level  // required
	Group string // the group's id; required at Group level

	Types       []string  // _type
	Since       time.Time // _since, as an instant
	Until       time.Time // _until (IG 3.0.0)
	Elements    []string  // _elements
	TypeFilters []string  // _typeFilter, each "Type?query"
	Patients    []string  // patient: references "Patient/…"; these are sent by POST only

	// Post sends a Parameters resource by POST, else the parameters go into the query
	// of a GET, which servers of IG 2.0.0 and 3.0.0 must take.
	Post bool
}

// Job is an export at the server.
type Job struct {
	// StatusURL is where to poll, and what to delete. Whoever has it may have to
	// keep it secret: some servers put a token into it.
	StatusURL string

	// Manifest is set when the server answered the kick-off with it at once, as
	// 1upHealth's synchronous form does; StatusURL is then empty.
	Manifest *Manifest
}

const ndjson = "application/fhir+ndjson"

// parameter is one parameter of a kick-off, in the form that Parameters wants.
type parameter struct {
	name, kind, value string // kind: the choice of value[x], "String", "Instant", "Reference"
}

func (r Request) parameters() []parameter {
	ps := []parameter{{"_outputFormat", "String", ndjson}}
	if len(r.Types) > 0 {
		ps = append(ps, parameter{"_type", "String", strings.Join(r.Types, ",")})
	}
	if !r.Since.IsZero() {
		ps = append(ps, parameter{"_since", "Instant", instant(r.Since)})
	}
	if !r.Until.IsZero() {
		ps = append(ps, parameter{"_until", "Instant", instant(r.Until)})
	}
	if len(r.Elements) > 0 {
		ps = append(ps, parameter{"_elements", "String", strings.Join(r.Elements, ",")})
	}
	for _, f := range r.TypeFilters {
		ps = append(ps, parameter{"_typeFilter", "String", f}) // repeated: a comma would not tell two filters from a filter's own commas
	}
	for _, p := range r.Patients {
		ps = append(ps, parameter{"patient", "Reference", p})
	}
	return ps
}

// instant writes t to the millisecond: a since cut to the second would still be
// right, an until would not.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// path is where the kick-off goes, below the base URL.
func (r Request) path() (string, error) {
	switch r.Level {
	case System:
		return "/$export", nil
	case Patient:
		return "/Patient/$export", nil
	case Group:
		if r.Group == "" {
			return "", errors.New("bulk: a group export needs the group's id")
		}
		return "/Group/" + url.PathEscape(r.Group) + "/$export", nil
	}
	return "", errors.New("bulk: unknown export level " + string(r.Level))
}

// KickOff starts an export. It is sent again only where the server cannot have
// started one: when no connection came about, and on 429 and 503. It is not
// idempotent: a caller that loses its answer must ask the server's owner.
func (c *Client) KickOff(ctx context.Context, r Request) (Job, error) {
	const doing = "starting the export"
	path, err := r.path()
	if err != nil {
		return Job{}, err
	}
	if len(r.Patients) > 0 && !r.Post {
		return Job{}, errors.New("bulk: a list of patients can only be sent by POST")
	}
	req := request{doing: doing, method: http.MethodGet, url: c.base.String() + path, once: true,
		header: http.Header{
			"Accept": {"application/fhir+json"},
			"Prefer": {"respond-async"},
			// HAPI answers an equal request with an old job, unless asked not to.
			"Cache-Control": {"no-cache"},
		}}
	if r.Post {
		req.method = http.MethodPost
		req.header.Set("Content-Type", "application/fhir+json")
		req.body = parametersResource(r.parameters())
	} else {
		q := url.Values{}
		for _, p := range r.parameters() {
			q.Add(p.name, p.value)
		}
		req.url += "?" + q.Encode()
	}
	resp, err := c.send(ctx, c.starting, req)
	if err != nil {
		return Job{}, err
	}
	switch resp.StatusCode {
	case http.StatusAccepted:
		defer resp.Body.Close()
		status, err := contentLocation(resp)
		if err != nil {
			return Job{}, &transport.Error{Kind: transport.Broken, Doing: doing, URL: req.url, Status: resp.StatusCode, Err: err,
				Hint: "the server does not follow the Bulk Data IG here; ask its owner"}
		}
		if err := c.mayAuthorize(status); err != nil {
			return Job{}, &transport.Error{Kind: transport.Broken, Doing: doing, URL: req.url, Err: err,
				Hint: "use the fhir: URL that the server uses of itself"}
		}
		return Job{StatusURL: status}, nil
	case http.StatusOK:
		first, err := c.readManifest(ctx, doing, req.url, resp)
		if err != nil {
			return Job{}, err
		}
		m, err := c.withNextPages(ctx, first)
		if err != nil {
			return Job{}, err
		}
		return Job{Manifest: m}, nil
	case http.StatusTooManyRequests:
		e := failure(doing, req.url, resp)
		e.Hint = "the server is busy, perhaps with another export of this client: run again later"
		return Job{}, e
	}
	return Job{}, failure(doing, req.url, resp)
}

// kickOffAgain allows another attempt only where no export can have been started.
func kickOffAgain(resp *http.Response, err error) bool {
	if err != nil {
		var op *net.OpError
		return errors.As(err, &op) && op.Op == "dial"
	}
	return resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable
}

// contentLocation is the status URL of an accepted kick-off: Content-Location, or
// Location as Smile CDR's tutorial has it; absolute, or relative to the request.
func contentLocation(resp *http.Response) (string, error) {
	where := resp.Header.Get("Content-Location")
	if where == "" {
		where = resp.Header.Get("Location")
	}
	if where == "" {
		return "", errors.New("the export was accepted without a Content-Location, so its status cannot be asked for")
	}
	u, err := resp.Request.URL.Parse(where)
	if err != nil {
		return "", errors.New("the export was accepted with an unreadable Content-Location")
	}
	return u.String(), nil
}

// mayAuthorize checks that a URL which wants our credential is of the origin that the
// credential is for.
func (c *Client) mayAuthorize(raw string) error {
	if c.credentials == nil {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("the server gave an unreadable URL")
	}
	if !transport.SameOrigin(u, c.base) {
		return errors.New("the server wants the token of " + transport.Origin(c.base) + " at another origin, " + transport.Origin(u) + "; it is not sent there")
	}
	return nil
}

// parametersResource is the body of a POST kick-off.
func parametersResource(ps []parameter) string {
	type value map[string]any
	list := make([]value, len(ps))
	for i, p := range ps {
		v := any(p.value)
		if p.kind == "Reference" {
			v = value{"reference": p.value}
		}
		list[i] = value{"name": p.name, "value" + p.kind: v}
	}
	body, err := json.Marshal(value{"resourceType": "Parameters", "parameter": list})
	if err != nil {
		panic(err) // strings alone always marshal
	}
	return string(body)
}
