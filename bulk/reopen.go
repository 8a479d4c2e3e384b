package bulk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"fhirkiln/transport"
)

const (
	// attemptsFactor times Options.FileAttempts is the maximum number of attempts for a file,
	// even if each makes progress: a file of 100 GB may be cut many times, but one that
	// arrives in drops is useless.
	attemptsFactor = 20

	// maxThrottled is how often in a row a server may ask to come later. With pauses of up to
	// a minute, that is about half an hour.
	maxThrottled = 36

	maxRenewals = 10 // of one file's link
	maxMissing  = 3  // attempts that may get a 404: BCDA's files are known to answer 404 at first
)

// reopen opens a body that continues where the reader is.
func (s *Stream) reopen() error {
	for {
		if s.attempts > 0 {
			pause := transport.Exponential(s.client.retry.MinWait, s.client.retry.MaxWait, max(s.idle-1, 0))
			if err := transport.Sleep(s.ctx, pause); err != nil {
				return err
			}
		}
		err := s.attempt()
		if err == nil {
			return nil
		}
		s.drop()
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		again, why := s.afterFailure(err)
		if !again {
			return why
		}
		s.client.log.Warn("opening an output file failed; trying again", "type", s.file.Type, "attempt", s.attempts, "error", err)
	}
}

// afterFailure decides whether to retry a file that did not open, and returns the error if
// not. Failures to open share the stream's count of attempts, so that the two limits do not
// multiply.
func (s *Stream) afterFailure(err error) (again bool, _ error) {
	unanswered := s.client.attempts + max(s.client.retry.Max, 0)
	if s.attempts >= s.client.attempts*attemptsFactor {
		unanswered = 0
	}
	if short, ok := errors.AsType[*cutError](err); ok {
		return s.idle < min(s.client.attempts, unanswered), s.cut(short.at, short.error)
	}
	var failed *transport.Error
	if !errors.As(err, &failed) {
		return false, err // from the credentials or the caller
	}
	switch {
	case failed.Status == http.StatusTooManyRequests || failed.Status == http.StatusServiceUnavailable:
		s.idle-- // being told to come later is not a failed attempt
		s.throttled++
		return s.throttled < maxThrottled && unanswered > 0, err
	case failed.Kind == transport.Unavailable || failed.Status >= 500 && failed.Kind == transport.Refused:
		return s.idle < unanswered, err
	case s.expired(failed.Status):
		if s.renewed < maxRenewals && s.manifest.StatusURL != "" {
			s.renewed++
			m, f, failure := s.client.renew(s.ctx, s.manifest, s.listed, s.file.URL)
			switch {
			case s.ctx.Err() != nil:
				return false, context.Cause(s.ctx)
			case failure != nil:
				s.client.log.Warn("cannot read the manifest again", "error", failure)
			case f.URL != s.file.URL:
				failure = s.use(m, f)
				return failure == nil, failure
			}
		}
		return failed.Status == http.StatusNotFound && s.idle < min(maxMissing, s.client.attempts), err
	}
	return false, err
}

// expired reports whether a status may mean that the link has expired: 404, 410, or what
// storage answers to an old signature.
func (s *Stream) expired(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusGone, http.StatusForbidden:
		return true
	case http.StatusBadRequest, http.StatusUnauthorized:
		return s.public
	}
	return false
}

// cutError means that a body ended too early.
type cutError struct {
	at    int64 // plain bytes received
	error       // why
}

// attempt requests the file once.
func (s *Stream) attempt() error {
	origin, err := originOf(s.file.URL)
	if err != nil {
		return err
	}
	gate := s.client.gates.of(origin)
	entered, err := gate.enter(s.ctx)
	if err != nil {
		return err
	}
	s.attempts++
	s.idle++
	body, err := s.fetch()
	if err != nil {
		if busy, ok := errors.AsType[*throttledError](err); ok {
			gate.throttled(entered, busy.pause) // before it leaves, or another would slip in
			err = busy.error
		}
		gate.leave()
		return err
	}
	gate.served()
	s.throttled = 0
	body.leave = gate.leave
	s.body = body
	if s.read == 0 || body.from > 0 {
		return nil
	}
	var prefix XXH128
	if n, err := io.CopyN(&prefix, body, s.read); err != nil {
		return &cutError{n, err}
	}
	if prefix.String() != s.sum.String() {
		return s.broken(fmt.Errorf("the file changed between two attempts: its first %d bytes are different now", s.read), "run again")
	}
	return nil
}

// throttledError is a 429 or 503.
type throttledError struct {
	error
	pause time.Duration // that the server asked for, within bounds
}

func (e *throttledError) Unwrap() error { return e.error }

// fetch sends the GET, for the rest of the file if the server may be able to prove that it
// sends just that, otherwise for the whole file.
func (s *Stream) fetch() (*fileBody, error) {
	c, doing := s.client, s.file.doing()
	header := http.Header{"Accept": {ndjson}, "Accept-Encoding": {"gzip"}}
	from := s.version.resumeAt(s.read, len(s.tail))
	if from > 0 {
		header.Set("Accept-Encoding", "identity")
		header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		header.Set("If-Range", s.version.validator)
	}
	resp, err := c.send(s.ctx, c.plain, request{doing: doing, method: http.MethodGet, url: s.file.URL, public: s.public, header: header}) //nolint:bodyclose // fileBody closes it
	if err != nil {
		return nil, err
	}
	status := resp.StatusCode
	switch {
	case from > 0 && (status == http.StatusPartialContent || status == http.StatusRequestedRangeNotSatisfiable):
		body, err := s.resume(resp, from)
		if err == nil {
			return body, nil
		}
		resp.Body.Close()
		s.version.validator = "" // do not try again: request the whole file from now on
		c.log.Info("cannot resume a file where it was cut off; reading it from the start", "type", s.file.Type, "error", transport.Cause(err))
		return s.fetch()
	case status == http.StatusOK, status == http.StatusPartialContent && coversAll(resp):
		body, err := openBody(resp)
		if err != nil {
			return nil, err
		}
		if err := s.sniff(resp, body); err != nil {
			body.Close()
			return nil, err
		}
		if s.read == 0 {
			s.version = versionOf(resp, body.identity)
		}
		return body, nil
	}
	e, said := refusal(doing, s.file.URL, resp)
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		pause, ok := transport.RetryAfter(resp.Header, time.Now())
		if !ok {
			pause = transport.Exponential(c.retry.MinWait, c.retry.MaxWait, s.throttled)
		}
		return nil, &throttledError{e, min(max(pause, c.retry.MinWait), c.retry.MaxWait)}
	case status == http.StatusInternalServerError && len(said.Issues) > 0 && !said.Transient():
		e.Kind, e.Hint = transport.Refused, "the server no longer serves the file: run again to start another export" // AB2D after six downloads
	case e.Kind == transport.Denied && s.public:
		e.Kind, e.Hint = transport.Broken, "the server refused a link that needs no token: it may have expired; run again to start another export"
	case e.Kind == transport.NotThere || status == http.StatusGone:
		e.Kind, e.Hint = transport.Broken, "the file is gone, perhaps expired: run again to start another export"
	case e.Kind == transport.Refused:
		e.Hint = "ask the server's owner why it refuses a file from its own manifest"
	}
	if s.lacksKeys(status) {
		e.Hint = "the storage seems to require credentials of its own, which fhirkiln does not have: copy the files from there, and use fhirkiln convert"
	}
	return nil, e
}

// lacksKeys reports whether a refused link looks as if it required an account at the storage:
// it is at another origin, has no signature, and no file has come from there before.
func (s *Stream) lacksKeys(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict: // 409 is Azure's
	default:
		return false
	}
	u, err := url.Parse(s.file.URL)
	if err != nil || !s.public || u.RawQuery != "" {
		return false
	}
	origin := transport.Origin(u)
	return !s.client.tokenFor[origin] && !s.client.gates.of(origin).hasServed()
}
