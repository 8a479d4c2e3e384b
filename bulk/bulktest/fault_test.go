package bulktest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
)

func TestFaultsTakeTurns(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients()})
	status := c.kickOff("/$export", "")
	respond := func(status int) bulktest.Behavior { return bulktest.Respond(status, nil, "") }

	c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: respond(599)})
	c.server.Inject(bulktest.Fault{Name: "busy", On: bulktest.StatusEndpoint, Skip: 1, Times: 2, Do: respond(503)})
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: respond(502)})
	remove := c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Skip: 1, Times: bulktest.Always, Do: respond(504)})

	var got []int
	for range 7 {
		got = append(got, c.get(status).status)
	}
	remove()
	remove()
	got = append(got, c.get(status).status)
	// busy lets one request pass, which plays 502; then busy plays twice; the last lets one pass.
	if diff := cmp.Diff([]int{502, 503, 503, 200, 504, 504, 504, 200}, got); diff != "" {
		t.Error(diff)
	}
	var played []string
	for _, r := range c.server.Requests()[2:] {
		played = append(played, r.Fault)
	}
	const unnamed = "fault on status"
	if diff := cmp.Diff([]string{unnamed, "busy", "busy", "", unnamed, unnamed, unnamed, ""}, played); diff != "" {
		t.Error(diff)
	}
}

func TestFaultMatches(t *testing.T) {
	t.Parallel()
	data := bulktest.Files{bulktest.Lines("Patient", "{}"), bulktest.Lines("Claim", "{}"), bulktest.Lines("Patient", "{}")}
	c := start(t, bulktest.Options{Data: data})
	m := c.export("/$export", "")
	c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, When: bulktest.PathContains(".3.ndjson"), Times: 2, Do: bulktest.Respond(404, nil, "")})
	c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, When: bulktest.PathContains("/Claim."), Do: bulktest.Respond(403, nil, "")})
	c.server.Inject(bulktest.Fault{On: bulktest.AnyEndpoint, When: func(r *http.Request) bool { return r.Method == "DELETE" }, Do: bulktest.Outcome(500, "transient", "later")})
	var got []int
	for _, i := range []int{0, 1, 2, 2, 2, 1} {
		got = append(got, c.get(m.Output[i].URL).status)
	}
	if diff := cmp.Diff([]int{200, 403, 404, 404, 200, 200}, got); diff != "" {
		t.Error(diff)
	}
	a := c.request("DELETE", m.Output[0].URL, "")
	a.want(t, 500)
	if a.outcome(t) != "later" {
		t.Errorf("%s", a.body)
	}
}

func TestFaultsOnHeads(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients(), Polls: 1})
	c.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Do: bulktest.EditHead(func(status int, h http.Header) int {
		h.Set("Location", h.Get("Content-Location"))
		h.Del("Content-Location")
		return status
	})})
	a := c.tryKickOff("/$export", "")
	a.want(t, 202)
	status := a.header.Get("Location")
	if a.header.Get("Content-Location") != "" || status == "" {
		t.Fatalf("%v", a.header)
	}
	export := bulktest.EditHead(func(status int, h http.Header) int {
		h.Set("X-Export-Status", strconv.Itoa(status))
		return 200
	})
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: 2, Do: export})
	for _, want := range []string{"202", "200"} {
		a := c.get(status)
		if got := a.header.Get("X-Export-Status"); a.status != 200 || got != want {
			t.Errorf("%d with X-Export-Status %q", a.status, got)
		}
	}
	c.server.Inject(bulktest.Fault{On: bulktest.TokenEndpoint, Do: bulktest.TokenError(400, "invalid_grant")})
	if a := c.request("POST", c.server.TokenURL(), ""); a.status != 400 || !strings.Contains(string(a.body), `"error":"invalid_grant"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	c.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Do: bulktest.Respond(429, http.Header{"Content-Location": {status, "other"}, "Retry-After": {"5"}}, "")})
	a = c.tryKickOff("/$export", "")
	if diff := cmp.Diff([]string{status, "other"}, a.header.Values("Content-Location")); diff != "" {
		t.Error(diff)
	}
}

func TestEditManifest(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients(), Polls: 1})
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: bulktest.EditManifest(func(m map[string]any) {
		m["requiresAccessToken"] = "false"
		delete(m, "error")
		output := m["output"].([]any)
		m["output"] = append(output, output[0])
	})})
	status := c.kickOff("/$export", "")
	c.get(status).want(t, 202)
	var got map[string]json.RawMessage
	a := c.get(status)
	a.decode(t, 200, &got)
	var output []manifestFile
	if err := json.Unmarshal(got["output"], &output); err != nil {
		t.Fatal(err)
	}
	if string(got["requiresAccessToken"]) != `"false"` || got["error"] != nil || len(output) != 2 || output[0] != output[1] || output[0].Count != 2 {
		t.Errorf("%s", a.body)
	}
	if a.header.Get("Expires") == "" {
		t.Error("the header is gone")
	}
}

func TestFaultsOnBodies(t *testing.T) {
	t.Parallel()
	lines := make([]string, 5000)
	for i := range lines {
		lines[i] = `{"resourceType":"Patient","id":"` + strconv.Itoa(i) + `"}`
	}
	c := start(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", lines...)}})
	file := c.export("/$export", "").Output[0].URL
	whole := c.get(file).body

	play := func(b bulktest.Behavior, header ...string) (answer, error) {
		t.Helper()
		c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: b})
		return c.try("GET", file, "", append(header, "Authorization", "Bearer "+c.token)...)
	}
	breaks := func(name string, b bulktest.Behavior, want []byte, wantErr error) {
		t.Helper()
		a, err := play(b)
		if !errors.Is(err, wantErr) || !bytes.Equal(a.body, want) {
			t.Errorf("%s: %d bytes and %v, want %d and %v", name, len(a.body), err, len(want), wantErr)
		}
	}
	breaks("cut", bulktest.CutBody(70_000), whole[:70_000], io.ErrUnexpectedEOF)
	breaks("cut at once", bulktest.CutBody(0), nil, io.ErrUnexpectedEOF)
	breaks("cut at the end", bulktest.CutBody(int64(len(whole))), whole, io.ErrUnexpectedEOF)
	breaks("cut later", bulktest.CutBody(1<<40), whole, io.ErrUnexpectedEOF)
	breaks("truncated", bulktest.TruncateBody(1234), whole[:1234], nil)
	breaks("slow", bulktest.SlowBody(20_000, 0), whole, nil)
	if a, err := play(bulktest.ResetBody(100)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %d bytes and %v", len(a.body), err)
	}

	bom := bulktest.EditBody(func(b []byte) []byte { return append([]byte("\ufeff"), b...) })
	a, err := play(bom, "Accept-Encoding", "gzip")
	if err != nil || !bytes.Equal(a.body, append([]byte("\ufeff"), whole...)) || a.header.Get("Content-Encoding") != "" {
		t.Errorf("edited: %v, %v %.60s", err, a.header, a.body)
	}
	// A gzip body under a header that does not say so, and one that lacks its end.
	plain := bulktest.EditHead(func(status int, h http.Header) int { h.Del("Content-Encoding"); return status })
	a, err = play(bulktest.Chain(plain), "Accept-Encoding", "gzip")
	if err != nil || a.header.Get("Content-Encoding") != "" || gunzip(t, a.body) != string(whole) {
		t.Errorf("gzip without header: %v %v", err, a.header)
	}
	short := bulktest.EditHead(func(status int, h http.Header) int {
		h.Set("Content-Length", strconv.Itoa(len(whole)+10))
		return status
	})
	a, err = play(bulktest.Chain(bulktest.TruncateBody(500), short))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(a.body, whole[:500]) {
		t.Errorf("short of its Content-Length: %d bytes and %v", len(a.body), err)
	}
}

// TestFaultsThatWait checks that a server that has fallen silent continues once its client has
// gone.
func TestFaultsThatWait(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients()})
	file := c.export("/$export", "").Output[0].URL
	c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: bulktest.StallBody(10)})
	c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: bulktest.SlowBody(7, time.Hour)})
	for _, want := range []string{`{"resource`, `{"resou`} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", file, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+c.token)
		resp, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
		resp.Body.Close() // before the end, which closes the connection; Close waits for the server's side of it
	}
}

func TestFaultWithoutBehavior(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{})
	defer func() {
		if recover() == nil {
			t.Error("Inject took a fault that does nothing")
		}
	}()
	c.server.Inject(bulktest.Fault{})
}
