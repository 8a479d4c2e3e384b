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

// Progress is what the server says about a running export.
type Progress struct {
	Text string        // X-Progress, reduced by [transport.Words] and cut to 100 characters; "" if absent
	Next time.Duration // the time until the next poll

	// Partial is the manifest so far, if the server sent one (Request.PartialManifests). Its
	// files may already be read, but the export may still fail: hold their results back until
	// Wait returns the manifest, which lists them again.
	Partial *Manifest
}

// Wait polls an export's status until its manifest is ready, and reads all pages of the
// manifest. It calls each, which may be nil, on the caller's goroutine after every poll that
// found the export still running.
//
// Wait waits out an outage, a 429, or a 5xx without a final OperationOutcome, within the
// bounds of Options.Poll. Once the server has said that the export runs, Wait also waits out
// responses that are not about the export: a redirect, a bad certificate, a web page, a 400,
// 404 or 406 without an OperationOutcome, a 200 without a manifest. Wait may be called again
// for the same job.
func (c *Client) Wait(ctx context.Context, job Job, each func(Progress)) (*Manifest, error) {
	if job.Manifest != nil {
		return job.Manifest, nil
	}
	if job.StatusURL == "" {
		return nil, fmt.Errorf("%s: %w", waitingForExport, errNoStatusURL)
	}
	c.following.add(job.StatusURL)
	ctx, cancel := c.withDeadline(ctx)
	defer cancel()
	partial := make(map[string]bool) // files of partial manifests
	first, err := c.await(ctx, polling{doing: waitingForExport, url: job.StatusURL, separate: job.SeparateStatus, failed: statusFailure,
		each: func(p Progress) {
			if p.Partial != nil {
				for _, f := range slices.Concat(p.Partial.Output, p.Partial.Deleted) {
					partial[f.Identity()] = true
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
		delete(partial, f.Identity())
	}
	if len(partial) > 0 {
		return nil, &transport.Error{Kind: transport.Broken, Doing: waitingForExport, URL: job.StatusURL,
			Err: fmt.Errorf("%d files that the server listed while the export was running are not in its manifest", len(partial)), Hint: "ask the server's owner"}
	}
	return m, nil
}

const waitingForExport = "waiting for the export"

// errNoStatusURL is for a Job that no kick-off returned.
var errNoStatusURL = errors.New("the job has no status URL")

// withDeadline bounds the wait for one export.
func (c *Client) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.poll.Deadline, &transport.Error{Kind: transport.Unavailable, Doing: waitingForExport,
		Err:  fmt.Errorf("the server had not finished after %v", c.poll.Deadline),
		Hint: "run again to keep waiting for the same export (run --fresh starts another); ask the server's owner, or raise the source's poll.deadline"})
}

// polling says what to poll for.
type polling struct {
	doing, url string
	separate   bool                                                          // the status is in X-Export-Status
	failed     func(doing, url string, resp *http.Response) *transport.Error // reads an error response and closes it
	each       func(Progress)                                                // may be nil
	before     amount                                                        // of the pages before
}

// await polls for a page of a manifest until it is ready.
func (c *Client) await(ctx context.Context, p polling) (*page, error) {
	var outage time.Time // when the polls began to fail
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
			// HAPI answers 202 forever once somebody has deleted the running export.
			resp.Body.Close()
			return nil, &transport.Error{Kind: transport.Refused, Doing: p.doing, URL: p.url, Status: resp.StatusCode,
				Err: errors.New("the export was canceled at the server"), Hint: "run again to start another"}
		case resp.StatusCode == http.StatusAccepted:
			pause, running = c.pause(resp.Header, polls), true
			now := Progress{Text: progressText(resp), Next: pause}
			if partial, err := c.readManifest(ctx, p.doing, p.url, resp, p.before); err == nil { // usually the body is empty, or text for people
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
			// If this Wait has seen no 202 yet, an earlier run may have. So tolerate a few stray
			// responses, which are not from the server itself.
			const maxStrays = 3
			inTheWay := running && failed.Kind == transport.NotThere || failed.Stray && (running || failures < maxStrays)
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
			c.log.Warn("polling the export's status failed; trying again", "in", pause.Round(time.Millisecond),
				"giving_up_after", (c.poll.Outage - time.Since(outage)).Round(time.Second), "error", err)
		}
		if err := transport.Sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// acceptStatus is the Accept header for a status URL, which returns a manifest or an
// OperationOutcome.
const acceptStatus = "application/json, application/fhir+json;q=0.9"

// statusHeader returns the header of a poll. Oracle requires Prefer in each.
func statusHeader() http.Header {
	return http.Header{"Accept": {acceptStatus}, "Prefer": {"respond-async"}}
}

// exportStatus reads X-Export-Status, "202" or "202 Accepted". Without it, the response's own
// 200 counts.
func exportStatus(h http.Header) int {
	code, _, _ := strings.Cut(strings.TrimSpace(h.Get("X-Export-Status")), " ")
	if n, err := strconv.Atoi(code); err == nil && n >= 200 && n <= 599 {
		return n
	}
	return http.StatusOK
}

// pause returns how long to wait after the nth response: what the server asks for, otherwise
// longer and longer, within the bounds.
func (c *Client) pause(h http.Header, n int) time.Duration {
	if wait, ok := transport.RetryAfter(h, time.Now()); ok {
		return min(max(wait, c.poll.Min), c.poll.Max)
	}
	return max(c.poll.Min, transport.Exponential(c.poll.Min, c.poll.Max, n))
}

// progressText returns X-Progress, which the IG keeps under 100 characters.
func progressText(resp *http.Response) string {
	text := transport.Words(transport.WithoutSent(resp, resp.Header.Get("X-Progress")))
	if r := []rune(text); len(r) > 100 {
		text = string(r[:100])
	}
	return text
}

// statusFailure reads a status response that is neither 200 nor 202. A 500 with an
// OperationOutcome means that the job failed, unless its issues are transient. Without one,
// it may come from a gateway that knows nothing about the job (IG, "Bulk Data Status
// Request", error status response). 502, 503 and 504 are transient in themselves, and gateways
// may send OperationOutcomes with them, so these become final only when Poll.Outage runs out.
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
			e.Hint += ", or your token may have expired"
		}
	case e.Kind == transport.Unavailable:
		e.Hint = "run again later: the export may still be running"
	default:
		e.Hint = "ask the server's owner: this is not a valid response to a status request"
	}
	e.Stray = !ok && status != http.StatusGone && (e.Kind == transport.Refused || e.Kind == transport.Broken)
	return e
}
