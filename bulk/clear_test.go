package bulk_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fhirkiln/bulk"
	"fhirkiln/transport"
)

// A server reached by https cannot lead the client to plain http, not even on this machine,
// unless the user has named that origin.
func TestLinksIntoTheClear(t *testing.T) {
	t.Parallel()
	const line = `{"resourceType":"Patient","id":"1"}`
	const page = `{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":false,`
	clear, asked := script(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/page":
			fmt.Fprint(w, page+`"output":[]}`)
		case "/file":
			fmt.Fprintln(w, line)
		}
	})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/status/Patient/$export":
			w.Header().Set("Content-Location", clear.URL+"/page")
			w.WriteHeader(http.StatusAccepted)
		case "/page":
			fmt.Fprint(w, page+`"output":[],"link":[{"relation":"next","url":"`+clear.URL+`/page"}]}`)
		default:
			fmt.Fprint(w, page+`"output":[{"type":"Patient","url":"`+clear.URL+`/file"}]}`)
		}
	}))
	t.Cleanup(server.Close)
	storage := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, line) })) // with the same CA
	t.Cleanup(storage.Close)
	way := transport.Options{Authorities: x509.NewCertPool()}
	way.Authorities.AddCert(server.Certificate())
	client := func(base string, edit func(*bulk.Options)) *bulk.Client {
		return clientAt(t, server.URL+base, func(o *bulk.Options) {
			o.HTTP = transport.New(way)
			t.Cleanup(o.HTTP.CloseIdleConnections)
			edit(o)
		})
	}
	status := func(c *bulk.Client) error {
		_, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.Patient})
		return err
	}
	wait := func(path string) func(c *bulk.Client) error {
		return func(c *bulk.Client) error {
			m, err := c.Wait(t.Context(), bulk.Job{StatusURL: server.URL + path}, nil)
			if err != nil || len(m.Output) == 0 {
				return err
			}
			got, _, err := read(t.Context(), c, m, m.Output[0])
			if err == nil && got != line+"\n" {
				t.Errorf("got %q", got)
			}
			return err
		}
	}
	c := client("", func(o *bulk.Options) { bearer("x")(o) })
	if got, _, err := readURL(t, c, storage.URL+"/file"); err != nil || got != line+"\n" {
		t.Errorf("by https at another origin: %q, %v", got, err)
	}
	for name, do := range map[string]func(*bulk.Client) error{"status": status, "page": wait("/page"), "file": wait("/")} {
		before := asked.Load()
		base := ""
		if name == "status" {
			base = "/status"
		}
		e := wantError(t, do(client(base, func(*bulk.Options) {})), transport.Broken, "an unencrypted http URL, at http://"+strings.TrimPrefix(clear.URL, "http://"))
		wantHint(t, e, map[string]string{"status": "https links", "page": "owner", "file": "https links: a proxy in front of the server may hide from it that requests use https; or add that origin"}[name])
		if asked.Load() != before {
			t.Errorf("%s: it was asked for all the same", name)
		}
		for option, edit := range map[string]func(*bulk.Options){
			"token origins": func(o *bulk.Options) { o.TokenOrigins = []string{clear.URL} },
			"file hosts":    func(o *bulk.Options) { o.FileHosts = []string{clear.URL} },
		} {
			if err := do(client(base, edit)); err != nil {
				t.Errorf("%s, among the %s: %v", name, option, err)
			}
		}
	}
}
