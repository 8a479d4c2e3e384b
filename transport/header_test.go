package transport_test

import (
	"net/http"
	"strings"
	"testing"

	"fhirkiln/transport"
)

// A gateway's key goes with each hop at its own origin, and no further.
func TestHeader(t *testing.T) {
	t.Parallel()
	var atHome, elsewhere visits
	other := serve(t, func(_ http.ResponseWriter, r *http.Request) { elsewhere.add(r) })
	home := serve(t, func(w http.ResponseWriter, r *http.Request) {
		atHome.add(r)
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
		case "/again":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}
	})
	client := newClient(t, transport.Options{Header: map[string]string{"x-api-key": "key-of-the-gateway"}, HeaderOrigins: []string{home.URL + "/r4"}})
	for _, url := range []string{home.URL + "/", other.URL} {
		if _, err := get(t, client, url); err != nil {
			t.Fatal(err)
		}
	}
	req := newRequest(t, t.Context(), http.MethodGet, home.URL+"/own", "")
	req.Header.Set("X-Api-Key", "its own")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	var got []string
	for _, h := range append(atHome.header, elsewhere.header...) {
		got = append(got, h.Get("X-Api-Key"))
	}
	if want := "key-of-the-gateway,key-of-the-gateway,its own,,"; strings.Join(got, ",") != want {
		t.Errorf("the key went as %q, want %q", strings.Join(got, ","), want)
	}
}

// Servers repeat what they were sent, including headers that the caller did not set. What
// cannot be a secret stays, otherwise their words would have holes.
func TestWithoutSent(t *testing.T) {
	t.Parallel()
	home := serve(t, func(http.ResponseWriter, *http.Request) {})
	client := newClient(t, transport.Options{Header: map[string]string{"x-api-key": "key-of-the-gateway"}, HeaderOrigins: []string{home.URL}})
	req := newRequest(t, t.Context(), http.MethodGet, home.URL, "")
	harmless := map[string]string{"Accept": "application/json", "Accept-Encoding": "identity", "Cache-Control": "no-cache", "Content-Type": "application/fhir+json",
		"Prefer": "respond-async", "Range": "bytes=7-", "If-Range": `"the-version"`, "User-Agent": "fhirkiln", "X-Tenant": "abcdefg"}
	said := "no key-of-the-gateway, no token, no SESSION8"
	for name, value := range harmless {
		req.Header.Set(name, value)
		said += ", " + value
	}
	req.Header.Set("Authorization", "Bearer token")
	req.Header["session"] = []string{"SESSION8"}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want := strings.NewReplacer("key-of-the-gateway", "[credential]", "token", "[credential]", "SESSION8", "[credential]").Replace(said)
	if got := transport.WithoutSent(resp, said); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
