package bulk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"fhirkiln/transport"
)

// Progress is what the server says of a running export.
type Progress struct {
	Text string        // X-Progress, cleaned and cut to 100 characters; "" if it says nothing
	Next time.Duration // how long until the next look
}

// Wait polls an export's status until its manifest is there, and reads that, all its
// pages included. It calls each, which may be nil, on its own goroutine after every
// poll that found the export still running.
//
// An outage, a 429 or a 5xx without a final OperationOutcome are waited out, within
// the bounds of Options.Poll. Wait may be called again for the same job.
func (c *Client) Wait(ctx context.Context, job Job, each func(Progress)) (*Manifest, error) {
	if job.Manifest != nil {
		return job.Manifest, nil
	}
	const doing = "waiting for the export"
	ctx, cancel := context.WithTimeoutCause(ctx, c.poll.Deadline, &transport.Error{Kind: transport.Unavailable, Doing: doing,
		Err:  fmt.Errorf("the server had not finished it after %v", c.poll.Deadline),
		Hint: "ask the server's owner, or raise the source's poll.deadline"})
	defer cancel()
	var outage time.Time // since when the server does not answer
	failures := 0
	for polls := 0; ; polls++ {
		resp, err := c.send(ctx, c.plain, request{doing: doing, method: http.MethodGet, url: job.StatusURL,
			header: http.Header{"Accept": {"application/json"}}})
		var pause time.Duration
		switch {
		case err != nil:
		case resp.StatusCode == http.StatusOK:
			var first *page
			if first, err = c.readManifest(ctx, doing, job.StatusURL, resp); err == nil {
				return c.withNextPages(ctx, first)
			}
		case resp.StatusCode == http.StatusAccepted:
			resp.Body.Close()
			pause = c.pause(resp.Header, polls)
			if each != nil {
				each(Progress{Text: progressText(resp), Next: pause})
			}
		default:
			pause = c.pause(resp.Header, failures)
			err = statusFailure(doing, job.StatusURL, resp)
		}
		if err == nil {
			failures, outage = 0, time.Time{}
		} else {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			var failed *transport.Error
			if !errors.As(err, &failed) || failed.Kind != transport.Unavailable {
				return nil, err
			}
			if failures++; outage.IsZero() {
				outage = time.Now()
			}
			if time.Since(outage) >= c.poll.Outage {
				return nil, err
			}
			pause = max(pause, transport.Exponential(c.poll.Min, c.poll.Max, failures))
			c.log.Warn("asking for the export's status failed; asking again", "in", pause.Round(time.Millisecond), "error", err)
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
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
	text := transport.Clean(withoutToken(resp, resp.Header.Get("X-Progress")))
	if r := []rune(text); len(r) > 100 {
		text = string(r[:100])
	}
	return text
}

// statusFailure reads a status answer that is neither 200 nor 202. A 5xx with an
// OperationOutcome means that the job failed, unless its issues are transient; without
// one it may be a gateway that knows nothing of the job (IG, "Bulk Data Status
// Request", error status response).
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
		case status >= 500:
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
	case e.Kind == transport.Unavailable:
		e.Hint = "run again later: the export may go on at the server"
	default:
		e.Hint = "ask the server's owner: this is no answer to the question for a status"
	}
	return e
}

// sleep waits for d or for the end of ctx, whose cause it then returns.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
