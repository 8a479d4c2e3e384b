package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"fhirkiln/transport"
)

const discovering = "looking up the token endpoint"

func configurationOf(base string) string {
	return strings.TrimRight(base, "/") + "/.well-known/smart-configuration"
}

// Discover asks the FHIR server at base for its token endpoint, which it reads from
// .well-known/smart-configuration (SMART App Launch, "Conformance"). It sends no
// credential and follows no redirects. It is a convenience, because some servers hide that
// document behind a login: a configured token URL does not need it.
// A failure is a [*transport.Error]. client is required.
func Discover(ctx context.Context, base string, client *http.Client, retry transport.Retry) (string, error) {
	const hint = "set token_url instead of discover; the server's owner knows the URL"
	address := configurationOf(base)
	failed := func(kind transport.Kind, status int) error {
		return &transport.Error{Kind: kind, Doing: discovering, URL: address, Status: status, Hint: hint}
	}
	unusable := func(why string) error {
		return &transport.Error{Kind: transport.NotThere, Doing: discovering, URL: address, Err: errors.New(why), Hint: hint}
	}
	if client == nil {
		return "", fmt.Errorf("%s: %w", discovering, errNoHTTP)
	}
	c := transport.Retrying(client, retry)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", unusable("the URL is unreadable")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return "", transport.NoAnswer(ctx, discovering, address, err)
	}
	defer resp.Body.Close()
	body, err := transport.ReadBody(resp, maxAnswer)
	switch {
	case transport.Passing(resp.StatusCode):
		return "", failed(transport.Unavailable, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return "", failed(transport.NotThere, resp.StatusCode)
	case err != nil:
		return "", transport.NoAnswer(ctx, discovering, address, err)
	}
	var document fields
	if json.Unmarshal(body, &document) != nil {
		return "", unusable("the response is not JSON")
	}
	found, err := url.Parse(document.text("token_endpoint"))
	if err != nil || found.Host == "" || found.Scheme != "https" && found.Scheme != "http" || found.User != nil {
		return "", unusable("the document names no token_endpoint")
	}
	if req.URL.Scheme == "https" && found.Scheme != "https" {
		return "", unusable("the document names an unencrypted token_endpoint")
	}
	return found.String(), nil
}

// Pin remembers the origin at which a server's token endpoint was first found, and accepts
// no other: the secret goes to that endpoint with each token request, and the document that
// names it is fetched anew each time. It is safe for concurrent use. A nil *Pin accepts any
// origin.
type Pin struct {
	// Origins are further accepted origins, "scheme://host[:port]" or any URL there.
	Origins []string

	mu    sync.Mutex
	first string
}

// check pins the first endpoint's origin, and returns an error if a later endpoint is
// elsewhere. base is the server that named it.
func (p *Pin) check(base, endpoint string, log *slog.Logger) error {
	if p == nil {
		return nil
	}
	origin := originOf(endpoint)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first == "" {
		p.first = origin
		if log != nil {
			log.Info("found the token endpoint", "origin", origin)
		}
	}
	if origin == p.first || slices.ContainsFunc(p.Origins, func(o string) bool { return originOf(o) == origin }) {
		return nil
	}
	return &transport.Error{Kind: transport.NotThere, Doing: discovering, URL: configurationOf(base),
		Err:  fmt.Errorf("the token endpoint was at %s, but the server now says it is at %s", p.first, origin),
		Hint: "ask the server's owner; if the credentials may be sent there, add that origin to token_origins, or set token_url instead of discover"}
}

func originOf(raw string) string {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return ""
	}
	return transport.Origin(u)
}
