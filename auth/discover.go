package auth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"fhirkiln/transport"
)

// Discover asks the FHIR server at base for its token endpoint, by way of
// .well-known/smart-configuration (SMART App Launch, "Conformance"). It sends no
// credential and follows no redirect. Servers are known to hide that document behind a
// login, so it is a convenience: a token URL that is written down needs none of it.
// The failure is a [*transport.Error].
func Discover(ctx context.Context, base string, client *http.Client, retry transport.Retry) (string, error) {
	const doing, hint = "looking for the token endpoint", "write token_url instead of discover: the server's owner knows it"
	address := strings.TrimRight(base, "/") + "/.well-known/smart-configuration"
	failed := func(kind transport.Kind, status int, said string) error {
		return &transport.Error{Kind: kind, Doing: doing, URL: address, Status: status, Said: said, Hint: hint}
	}
	c := transport.Retrying(client, retry)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", failed(transport.NotThere, 0, "the URL is unreadable")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return "", transport.NoAnswer(ctx, doing, address, err)
	}
	defer resp.Body.Close()
	body, err := transport.ReadBody(resp, maxAnswer)
	switch {
	case transport.Passing(resp.StatusCode):
		return "", failed(transport.Unavailable, resp.StatusCode, "")
	case resp.StatusCode != http.StatusOK:
		return "", failed(transport.NotThere, resp.StatusCode, "")
	case err != nil:
		return "", transport.NoAnswer(ctx, doing, address, err)
	}
	var document fields
	if json.Unmarshal(body, &document) != nil {
		return "", failed(transport.NotThere, 0, "the answer is not JSON")
	}
	found, err := url.Parse(document.text("token_endpoint"))
	if err != nil || found.Host == "" || found.Scheme != "https" && found.Scheme != "http" || found.User != nil {
		return "", failed(transport.NotThere, 0, "the document names no token_endpoint")
	}
	if req.URL.Scheme == "https" && found.Scheme != "https" {
		return "", failed(transport.NotThere, 0, "the document names a token_endpoint in the clear")
	}
	return found.String(), nil
}
