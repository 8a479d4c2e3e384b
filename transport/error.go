package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// Kind groups failed exchanges by what the user can do about them.
type Kind int

// The kinds of failure.
const (
	// Unavailable: the network or the server falters; the same again later may work.
	Unavailable Kind = iota
	// Denied: the credentials were refused.
	Denied
	// NotThere: what answers at the address is not what was looked for.
	NotThere
	// Refused: the server understood and said no, or its export failed.
	Refused
	// Broken: what was answered cannot be trusted: cut, miscounted, changed, not the format.
	Broken
)

// Error is an exchange with a server that did not give what was wanted. Its text
// holds no query string, no credential and no more of a body than a cleaned first part.
type Error struct {
	Kind   Kind
	Doing  string // what was being done: "starting the export"
	URL    string // to what; printed by way of [Redact]
	Status int    // HTTP status, 0 if there was no answer
	Said   string // the server's own words, reduced by [Words]
	Hint   string // what the user may try; not part of the error's text
	Err    error  // the cause when there was no answer, or a reading of it

	// Stray says that nothing in the answer shows that it is the server's own word: what
	// stands before it answers so too.
	Stray bool
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Doing)
	if e.URL != "" {
		fmt.Fprintf(&b, " at %s", Redact(e.URL))
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": the server answered %d", e.Status)
		if text := http.StatusText(e.Status); text != "" {
			fmt.Fprintf(&b, " %s", text)
		}
	}
	if e.Said != "" {
		fmt.Fprintf(&b, ": %s", e.Said)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// NoAnswer makes an [Error] of err, which an [http.Client] gave instead of an answer.
// A canceled ctx comes back as its cause, since that is nobody's failure.
func NoAnswer(ctx context.Context, doing, url string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e := &Error{Kind: Unavailable, Doing: doing, URL: url, Err: Cause(err),
		Hint: "check the address, the network, and that the server is up; then run again"}
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, ErrPlainHTTP):
		e.Kind = NotThere
		e.Hint = "use https://, or set allow_http for this source if the network in between is trusted"
	case errors.Is(err, ErrHost):
		e.Kind, e.Hint = NotThere, "check the address; if the server gave it, ask its owner, and do not trust it until then"
	case errors.Is(err, ErrRedirect):
		e.Kind, e.Hint = NotThere, "check the address: the server sends this request elsewhere"
	case errors.Is(err, http.ErrSchemeMismatch):
		e.Kind, e.Hint = NotThere, "check the address: that port speaks http, not https"
	case errors.As(err, &untrusted):
		e.Kind, e.Hint = NotThere, "the server's certificate is not good here: check the address, this machine's clock and its list of authorities"
	}
	return e
}

// KindOf is the kind that a status has where the protocol gives it no meaning of its own.
func KindOf(status int) Kind {
	switch {
	case Passing(status):
		return Unavailable
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return Denied
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented || status >= 300 && status < 400:
		return NotThere
	case status >= 400:
		return Refused
	}
	return Broken
}

// Cause strips the [url.Error]s that net/http wraps around a failure: their text
// repeats the whole URL, query string and all.
func Cause(err error) error {
	for {
		var u *url.Error
		if !errors.As(err, &u) {
			return err
		}
		err = u.Err
	}
}

// maxSaid is how much of a server's own words go into an error, in bytes.
const maxSaid = 500

// Clean makes a server's text fit for one line of a log: control characters and runs
// of white space become one space, JWTs and the queries of URLs, which may be
// signatures, become "…", and what is over 500 bytes is cut.
func Clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	words := strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	for i, w := range words {
		if url := strings.Index(w, "://"); url >= 0 {
			if query := strings.IndexAny(w[url:], "?#"); query >= 0 {
				w = w[:url+query+1] + "…"
			}
		}
		if jwt := strings.Index(w, "eyJ"); jwt >= 0 && len(w)-jwt > 20 { // {" in base64
			w = w[:jwt] + "…"
		}
		words[i] = w
	}
	s = strings.Join(words, " ")
	if len(s) > maxSaid {
		s = strings.ToValidUTF8(s[:maxSaid], "") + "…"
	}
	return s
}

// ErrTooLong says that a body is longer than its reader takes.
var ErrTooLong = errors.New("the answer is too long")

// ReadBody reads at most limit bytes of an answer and closes it. A longer body is
// [ErrTooLong], since half of a document is none.
func ReadBody(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", Cause(err))
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, limit)
	}
	return b, nil
}
