package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"fhirkiln/transport"
)

// endpoint is a URL that takes a form and answers with JSON: a token endpoint
// (RFC 6749 3.2), or 1upHealth's for codes.
type endpoint struct {
	url    string
	method string // "" is POST
	doing  string // for errors: "getting a token"
	http   *http.Client
	retry  transport.Retry
	log    *slog.Logger
	hints  map[string]string // what to try, by the answer's error code; "" for all others
}

// form is one request's content.
type form struct {
	values  url.Values
	basic   *url.Userinfo // sent as HTTP Basic, form-encoded as RFC 6749 2.3.1 asks
	secrets []string      // of values: what must not come back in an error
}

// maxAnswer bounds an answer, in bytes. Tokens are of a few KiB.
const maxAnswer = 1 << 20

// ask sends the form and returns the fields of the answer, which are none of an error.
// fill makes the form anew for each attempt, so that an assertion is never sent twice;
// it is called on one goroutine at a time. An answer that is cut in its body counts as
// a failed attempt.
func (e endpoint) ask(ctx context.Context, fill func() (form, error)) (fields, error) {
	plain := *e.http
	one := &attempts{next: plain.Transport, fill: fill}
	plain.Transport = one
	retry := e.retry
	retry.Log = e.log
	retry.Again = func(resp *http.Response, err error) bool {
		return one.broken == nil && transport.AnyFailure(resp, err)
	}
	client := transport.Retrying(&plain, retry)
	// A token endpoint has no business redirecting, and the form holds the secret.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	method := e.method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, e.url, nil)
	if err != nil {
		return nil, &transport.Error{Kind: transport.NotThere, Doing: e.doing, Err: errors.New("the URL is unreadable"), Hint: "check token_url"}
	}
	resp, err := client.Do(req)
	if one.broken != nil {
		return nil, fmt.Errorf("%s: %w", e.doing, one.broken)
	}
	if err != nil {
		return nil, transport.NoAnswer(ctx, e.doing, e.url, err)
	}
	defer resp.Body.Close()
	body, err := transport.ReadBody(resp, maxAnswer)
	if err != nil {
		return nil, transport.NoAnswer(ctx, e.doing, e.url, err)
	}
	var answer fields
	if json.Unmarshal(body, &answer) != nil {
		answer = nil
	}
	if resp.StatusCode/100 != 2 || answer.text("error") != "" {
		return nil, e.refusal(resp, answer, one.last)
	}
	return answer, nil
}

// nonsense says that what answered is no such endpoint.
func (e endpoint) nonsense(what, hint string) error {
	return &transport.Error{Kind: transport.NotThere, Doing: e.doing, URL: e.url, Err: errors.New(what), Hint: hint}
}

// attempts is what goes on below the retries: it makes each attempt's form, and reads
// its answer to the end. The request has no GetBody, so that net/http does not send the
// same form again by itself.
type attempts struct {
	next   http.RoundTripper
	fill   func() (form, error)
	last   form
	broken error // fill's
}

// RoundTrip implements [http.RoundTripper].
func (a *attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	f, err := a.fill()
	if err != nil {
		a.broken = err
		return nil, err
	}
	a.last = f
	req = req.Clone(req.Context())
	body := f.values.Encode()
	req.Body, req.GetBody, req.ContentLength = io.NopCloser(strings.NewReader(body)), nil, int64(len(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if f.basic != nil {
		password, _ := f.basic.Password()
		req.SetBasicAuth(url.QueryEscape(f.basic.Username()), url.QueryEscape(password))
	}
	next := a.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	return resp, nil
}

// refusal turns an answer that is none into an error that tells the user what to try,
// and keeps secrets out of it even where a server repeats what it was sent.
func (e endpoint) refusal(resp *http.Response, answer fields, sent form) error {
	status := resp.StatusCode
	failed := &transport.Error{Kind: transport.KindOf(status), Doing: e.doing, URL: e.url, Status: status}
	code := answer.text("error")
	if code != "" {
		failed.Said = code
		if description := answer.text("error_description"); description != "" {
			failed.Said += " (" + description + ")"
		}
		failed.Said = transport.Words(without(transport.WithoutSent(resp, failed.Said), sent.secrets), strings.Fields(sent.values.Get("scope"))...)
		if failed.Kind == transport.Refused || status/100 == 2 {
			failed.Kind = transport.Denied // an error of a token endpoint is about the client (RFC 6749 5.2), also with the 200 of some
		}
	}
	if status == http.StatusForbidden && code == "" {
		failed.Err = errGateway
	}
	switch failed.Kind {
	case transport.Denied:
		failed.Hint = e.hints[code]
		if failed.Hint == "" {
			failed.Hint = e.hints[""]
		}
		failed.Hint += clockHint(resp.Header)
	case transport.NotThere:
		failed.Hint = "check token_url"
		if status/100 == 4 && e.method == http.MethodGet { // oidc-provider says 404 of a GET
			failed.Hint = "use token_method: POST; if that is refused too, check token_url"
		} else if status == http.StatusMethodNotAllowed { // a Keycloak says it of paths that it does not have
			failed.Hint = "check token_url to its last letter; if it is right, try token_method: GET"
		} else if to, err := resp.Location(); err == nil {
			failed.Hint = "the server redirects to " + transport.Redact(to.String()) + ": if that is the token endpoint, make it the token_url"
		}
	case transport.Unavailable:
		failed.Hint = "run again later"
	default:
		failed.Hint = "check token_url, client_id, scope and how the client was registered"
	}
	return failed
}

// errGateway is a 403 without a word of OAuth: an endpoint's own refusal is a 400 or 401
// that says so in its field error (RFC 6749 5.2), a firewall's is a web page, nothing, or
// JSON of its own.
var errGateway = errors.New("it says nothing of OAuth, as gateways and firewalls do")

// without takes secrets out of a text, as they are and as they stand in a form.
func without(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.NewReplacer(s, "[redacted]", url.QueryEscape(s), "[redacted]").Replace(text)
		}
	}
	return text
}

// isDenied says whether a server refused who is asking, rather than failed to answer.
func isDenied(err error) bool {
	var e *transport.Error
	return errors.As(err, &e) && e.Kind == transport.Denied
}
