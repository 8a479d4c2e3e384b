package auth

import (
	"bytes"
	"cmp"
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

// endpoint takes a form and answers with JSON: a token endpoint (RFC 6749 3.2), or
// 1upHealth's endpoint for codes.
type endpoint struct {
	url    string
	method string // "" is POST
	doing  string // for errors: "getting a token"
	http   *http.Client
	retry  transport.Retry
	log    *slog.Logger
	hints  map[string]string // what to try, by OAuth error code; "" for all other codes
}

// form is the content of one request.
type form struct {
	values  url.Values
	basic   *url.Userinfo // sent as HTTP Basic, form-encoded as RFC 6749 2.3.1 requires
	secrets []string      // those in values, which must not appear in an error
}

// errNoHTTP is for options without the client that they require.
var errNoHTTP = errors.New("the HTTP client is missing")

// maxAnswer bounds a response body, in bytes. Tokens have a few KiB.
const maxAnswer = 1 << 20

// ask sends the form and returns the fields of the response, which is not an error
// response. fill builds the form anew for each attempt, so that an assertion is never sent
// twice; it is called from one goroutine at a time. A response body that is cut off counts
// as a failed attempt.
func (e endpoint) ask(ctx context.Context, fill func() (form, error)) (fields, error) {
	if e.http == nil {
		return nil, fmt.Errorf("%s: %w", e.doing, errNoHTTP)
	}
	plain := *e.http
	filling := &formTransport{next: plain.Transport, fill: fill}
	plain.Transport = filling
	retry := e.retry
	retry.Log = e.log
	retry.Again = func(resp *http.Response, err error) bool {
		return filling.err == nil && transport.AnyFailure(resp, err)
	}
	client := transport.Retrying(&plain, retry)
	// A token endpoint has no business redirecting, and the form holds the secret.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(ctx, cmp.Or(e.method, http.MethodPost), e.url, nil)
	if err != nil {
		return nil, &transport.Error{Kind: transport.NotThere, Doing: e.doing, Err: errors.New("the URL is unreadable"), Hint: "check token_url"}
	}
	resp, err := client.Do(req)
	if filling.err != nil {
		return nil, fmt.Errorf("%s: %w", e.doing, filling.err)
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
		return nil, e.refusal(resp, answer, filling.last)
	}
	return answer, nil
}

// nonsense returns the error for a response that no such endpoint would give.
func (e endpoint) nonsense(what, hint string) error {
	return &transport.Error{Kind: transport.NotThere, Doing: e.doing, URL: e.url, Err: errors.New(what), Hint: hint}
}

// formTransport runs below the retries: it builds the form of each attempt, and reads the
// response to the end. The request has no GetBody, so that net/http does not resend the
// same form on its own.
type formTransport struct {
	next http.RoundTripper
	fill func() (form, error)
	last form
	err  error // from fill
}

// RoundTrip implements [http.RoundTripper].
func (t *formTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	f, err := t.fill()
	if err != nil {
		t.err = err
		return nil, err
	}
	t.last = f
	req = req.Clone(req.Context())
	body := f.values.Encode()
	req.Body, req.GetBody, req.ContentLength = io.NopCloser(strings.NewReader(body)), nil, int64(len(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if f.basic != nil {
		password, _ := f.basic.Password()
		req.SetBasicAuth(url.QueryEscape(f.basic.Username()), url.QueryEscape(password))
	}
	resp, err := cmp.Or(t.next, http.DefaultTransport).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("reading the response: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	return resp, nil
}

// refusal turns an error response into an error that tells the user what to try. It keeps
// secrets out of the error even if the server repeats what it was sent.
func (e endpoint) refusal(resp *http.Response, answer fields, sent form) error {
	status := resp.StatusCode
	failed := &transport.Error{Kind: transport.KindOf(status), Doing: e.doing, URL: e.url, Status: status}
	code := answer.text("error")
	if code != "" {
		failed.Said = code
		if description := answer.text("error_description"); description != "" {
			failed.Said += " (" + description + ")"
		}
		failed.Said = transport.Words(redactSecrets(transport.WithoutSent(resp, failed.Said), sent.secrets), strings.Fields(sent.values.Get("scope"))...)
		if failed.Kind == transport.Refused || status/100 == 2 {
			failed.Kind = transport.Denied // a token endpoint's error is about the client (RFC 6749 5.2), even if sent with 200
		}
	}
	if status == http.StatusForbidden && code == "" {
		failed.Err = errGateway
	}
	switch failed.Kind {
	case transport.Denied:
		failed.Hint = cmp.Or(e.hints[code], e.hints[""]) + clockHint(resp.Header)
	case transport.NotThere:
		failed.Hint = "check token_url"
		if status/100 == 4 && e.method == http.MethodGet { // oidc-provider answers 404 to a GET
			failed.Hint = "use token_method: POST; if that is refused too, check token_url"
		} else if status == http.StatusMethodNotAllowed { // Keycloak sends it for unknown paths
			failed.Hint = "check token_url to the last letter; if it is right, try token_method: GET"
		} else if to, err := resp.Location(); err == nil {
			failed.Hint = "the server redirects to " + transport.Redact(to.String()) + ": if that is the token endpoint, set token_url to it"
		}
	case transport.Unavailable:
		failed.Hint = "run again later"
	default:
		failed.Hint = "check token_url, client_id, scope and how the client is registered"
	}
	return failed
}

// errGateway is a 403 without an OAuth error. An endpoint's own refusal is a 400 or 401
// with an error field (RFC 6749 5.2); a firewall sends a web page, nothing, or JSON of its
// own.
var errGateway = errors.New("the response has no OAuth error, so it may come from a gateway or firewall")

// redactSecrets removes secrets from a text, both plain and form-encoded.
func redactSecrets(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.NewReplacer(s, "[redacted]", url.QueryEscape(s), "[redacted]").Replace(text)
		}
	}
	return text
}

// isDenied reports whether a server refused the credentials, rather than failed to answer.
func isDenied(err error) bool {
	var e *transport.Error
	return errors.As(err, &e) && e.Kind == transport.Denied
}
