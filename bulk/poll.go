package bulk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"fhirkiln/transport"
)

// Progress is what the server says of a running export.
type Progress struct {
	Text string        // X-Progress, cleaned and cut to 100 characters; "" if it says nothing
	Next time.Duration // how long until the next look

	// Partial is what the server listed so far, if it did (Request.PartialManifests). Its
	// files may be read already, but the export may still fail: keep what comes of them
	// back until Wait returns the manifest, which lists them again.
	Partial *Manifest
}

// Wait polls an export's status until its manifest is there, and reads that, all its
// pages included. It calls each, which may be nil, on its own goroutine after every
// poll that found the export still running.
//
// An outage, a 429 or a 5xx without a final OperationOutcome are waited out, within
// the bounds of Options.Poll. Once the server has said that the export runs, so is what
// speaks of something else: a redirect, a certificate, a web page, a 400, 404 or 406
// without an OperationOutcome, a 200 without a manifest. Wait may be called again for the
// same job.
func (c *Client) Wait(ctx context.Context, job Job, each func(Progress)) (*Manifest, error) {
	if job.Manifest != nil {
		return job.Manifest, nil
	}
	c.following.add(job.StatusURL)
	ctx, cancel := c.withDeadline(ctx)
	defer cancel()
	told := make(map[string]bool) // files of partial manifests
	first, err := c.await(ctx, polling{doing: waitingForExport, url: job.StatusURL, separate: job.SeparateStatus, failed: statusFailure,
		each: func(p Progress) {
			if p.Partial != nil {
				for _, f := range slices.Concat(p.Partial.Output, p.Partial.Deleted) {
					told[f.Identity()] = true
				}
			}
			if each != nil {
				each(p)
			}
		}})
	if err != nil {
		return nil, err
	}
	m, err := c.withNextPages(ctx, first)
	if err != nil {
		return nil, err
	}
	m.StatusURL, m.SeparateStatus = job.StatusURL, job.SeparateStatus
	for _, f := range slices.Concat(m.Output, m.Deleted) {
		delete(told, f.Identity())
	}
	if len(told) > 0 {
		return nil, &transport.Error{Kind: transport.Broken, Doing: waitingForExport, URL: job.StatusURL,
			Err: fmt.Errorf("%d files that the server told of while the export ran are not in its manifest", len(told)), Hint: "ask the server's owner"}
	}
	return m, nil
}

const waitingForExport = "waiting for the export"

// withDeadline bounds the waiting for one export.
func (c *Client) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.poll.Deadline, &transport.Error{Kind: transport.Unavailable, Doing: waitingForExport,
		Err:  fmt.Errorf("the server had not finished it after %v", c.poll.Deadline),
		Hint: "run again to go on waiting for the same export (run --fresh asks for another); ask the server's owner, or raise the source's poll.deadline"})
}

// polling says what to ask for until it is there.
type polling struct {
	doing, url string
	separate   bool                                                          // the status is in X-Export-Status
	failed     func(doing, url string, resp *http.Response) *transport.Error // reads a refusal and closes it
	each       func(Progress)                                                // nil for none
	before     amount                                                        // what the pages before list
}

// await asks for a page of a manifest until it is there.
func (c *Client) await(ctx context.Context, p polling) (*page, error) {
	var outage time.Time // since when the server does not answer
	failures, running := 0, false
	for polls := 0; ; polls++ {
		resp, err := c.send(ctx, c.plain, request{doing: p.doing, method: http.MethodGet, url: p.url, //nolint:bodyclose // readManifest and failed close it
			header: statusHeader()})
		var pause time.Duration
		if err == nil && p.separate && resp.StatusCode == http.StatusOK {
			resp.StatusCode = exportStatus(resp.Header)
		}
		switch {
		case err != nil:
		case resp.StatusCode == http.StatusOK:
			var first *page
			if first, err = c.readManifest(ctx, p.doing, p.url, resp, p.before); err == nil {
				return first, nil
			}
		case resp.StatusCode == http.StatusAccepted && strings.Contains(resp.Header.Get("X-Progress"), "Status set to CANCELLED"):
			// A HAPI answers 202 for ever once somebody has deleted the running export.
			resp.Body.Close()
			return nil, &transport.Error{Kind: transport.Refused, Doing: p.doing, URL: p.url, Status: resp.StatusCode,
				Err: errors.New("the export was canceled at the server"), Hint: "run again to start another"}
		case resp.StatusCode == http.StatusAccepted:
			pause, running = c.pause(resp.Header, polls), true
			now := Progress{Text: progressText(resp), Next: pause}
			if partial, err := c.readManifest(ctx, p.doing, p.url, resp, p.before); err == nil { // mostly there is no body, or one for people
				now.Partial = partial.Manifest
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if p.each != nil {
				p.each(now)
			}
		default:
			pause = c.pause(resp.Header, failures)
			failed := p.failed(p.doing, p.url, resp)
			if p.separate && resp.Header.Get("X-Export-Status") != "" {
				failed.Stray = false
			}
			err = failed
		}
		if err == nil {
			failures, outage = 0, time.Time{}
		} else {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			var failed *transport.Error
			if !errors.As(err, &failed) {
				return nil, err
			}
			// Before the server has said that it works, an earlier run may have heard so: a few
			// stray answers are no word of its own.
			const strays = 3
			inTheWay := running && failed.Kind == transport.NotThere || failed.Stray && (running || failures < strays)
			if failed.Kind != transport.Unavailable && !inTheWay {
				return nil, err
			}
			if failures++; outage.IsZero() {
				outage = time.Now()
			}
			if time.Since(outage) >= c.poll.Outage {
				return nil, err
			}
			pause = max(pause, transport.Exponential(c.poll.Min, c.poll.Max, failures))
			c.log.Warn("asking for the export's status failed; asking again", "in", pause.Round(time.Millisecond),
				"giving_up_after", (c.poll.Outage - time.Since(outage)).Round(time.Second), "error", err)
		}
		if err := transport.Sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// acceptStatus is what is taken of a status URL: a manifest, or an OperationOutcome.
const acceptStatus = "application/json, application/fhir+json;q=0.9"

// statusHeader is what a poll says. Oracle wants Prefer with each.
func statusHeader() http.Header {
	return http.Header{"Accept": {acceptStatus}, "Prefer": {"respond-async"}}
}

// exportStatus reads X-Export-Status, "202" or "202 Accepted"; without it, the answer's
// own 200 counts.
func exportStatus(h http.Header) int {
	code, _, _ := strings.Cut(strings.TrimSpace(h.Get("X-Export-Status")), " ")
	if n, err := strconv.Atoi(code); err == nil && n >= 200 && n <= 599 {
		return n
	}
	return http.StatusOK
}

// pause is how long to wait after the n-th answer: what the server asks for, or ever
// longer, within the bounds.
func (c *Client) pause(h http.Header, n int) time.Duration {
	if wait, ok := transport.RetryAfter(h, time.Now()); ok {
		return min(max(wait, c.poll.Min), c.poll.Max)
	}
	return max(c.poll.Min, transport.Exponential(c.poll.Min, c.poll.Max, n))
}

// progressText is X-Progress, which the IG keeps under 100 characters.
func progressText(resp *http.Response) string {
	text := transport.Words(transport.WithoutSent(resp, resp.Header.Get("X-Progress")))
	if r := []rune(text); len(r) > 100 {
		text = string(r[:100])
	}
	return text
}

// statusFailure reads a status answer that is neither 200 nor 202. A 500 with an
// OperationOutcome means that the job failed, unless its issues are transient; without
// one it may be a gateway that knows nothing of the job (IG, "Bulk Data Status
// Request", error status response). 502, 503 and 504 speak of the moment by themselves,
// and gateways word them as OperationOutcomes too: only time tells that they are final.
func statusFailure(doing, u string, resp *http.Response) *transport.Error {
	status := resp.StatusCode
	body, err := outcomeBody(resp)
	e := &transport.Error{Kind: transport.KindOf(status), Doing: doing, URL: u, Status: status}
	outcome, ok := parseOutcome(body)
	if err == nil && ok {
		e.Said = outcome.String()
		switch {
		case outcome.Transient():
			e.Kind = transport.Unavailable
		case status >= 500 && status != http.StatusBadGateway && status != http.StatusServiceUnavailable && status != http.StatusGatewayTimeout:
			e.Kind = transport.Refused
		}
	}
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		e.Kind, e.Hint = transport.Refused, "the server no longer knows this export: run again to start another"
	case e.Kind == transport.Refused:
		e.Hint = "the server's export failed: run again, and ask the server's owner if it keeps failing"
	case e.Kind == transport.Denied:
		e.Hint = "the export may belong to another client"
		if status == http.StatusUnauthorized {
			e.Hint += "; or your token has expired"
		}
	case e.Kind == transport.Unavailable:
		e.Hint = "run again later: the export may go on at the server"
	default:
		e.Hint = "ask the server's owner: this is no answer to the question for a status"
	}
	e.Stray = !ok && status != http.StatusGone && (e.Kind == transport.Refused || e.Kind == transport.Broken)
	return e
}
