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
	// Unavailable means that the network or the server falters; a later retry may work.
	Unavailable Kind = iota
	// Denied means that the credentials were refused.
	Denied
	// NotThere means that the wrong thing answers at the address.
	NotThere
	// Refused means that the server understood and said no, or that its export failed.
	Refused
	// Broken means that the response cannot be trusted: cut off, miscounted, changed, or in
	// the wrong format.
	Broken
)

// Error is a failed exchange with a server. Its text holds no query string, no credential,
// and at most the first part of a body, cleaned.
type Error struct {
	Kind   Kind
	Doing  string // what was being done: "starting the export"
	URL    string // its target; printed through [Redact]
	Status int    // HTTP status, 0 if there was no response
	Said   string // the server's own words, reduced by [Words]
	Hint   string // what the user may try; not part of the error's text
	Err    error  // the cause if there was no response, or what is wrong with the response

	// Stray means that nothing in the response shows that it is from the server itself:
	// gateways in front of it respond like this too.
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

// NoAnswer turns err, which an [http.Client] returned instead of a response, into an [Error].
// If ctx was canceled it returns ctx's cause instead, since the server did not fail.
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
		e.Kind, e.Hint = NotThere, "check the address; if it came from the server, do not trust it before you have asked the server's owner"
	case errors.Is(err, ErrRedirect):
		e.Kind, e.Hint = NotThere, "check the address: the server redirects this request elsewhere"
	case errors.Is(err, http.ErrSchemeMismatch):
		e.Kind, e.Hint = NotThere, "check the address: that port speaks http, not https"
	case errors.As(err, &untrusted):
		e.Kind, e.Hint = NotThere, "this machine does not trust the server's certificate: check the address, this machine's clock, and its list of certificate authorities (tls.ca)"
	}
	return e
}

// KindOf returns the kind for a status to which the protocol gives no special meaning.
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

// Cause strips the [url.Error]s that net/http wraps around a failure, because their text
// holds the whole URL, including the query.
func Cause(err error) error {
	for {
		var u *url.Error
		if !errors.As(err, &u) {
			return err
		}
		err = u.Err
	}
}

// maxSaid bounds how much of a server's own words goes into an error, in bytes.
const maxSaid = 500

// Clean makes a server's text fit for one log line. It replaces control characters and runs
// of white space by one space, and JWTs and the queries of URLs, which may be signatures, by
// "…". It truncates the text after 500 bytes.
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

// ErrTooLong means that a body is longer than its reader accepts.
var ErrTooLong = errors.New("the response is too long")

// ReadBody reads a response body of at most limit bytes and closes it. For a longer body it
// returns [ErrTooLong], since half a document is useless.
func ReadBody(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the response: %w", Cause(err))
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, limit)
	}
	return b, nil
}
