package bulk_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

// fault is one misbehavior that a server is known for, and what the user gets: all
// rows, or an error of a kind.
type fault struct {
	name  string
	on    bulktest.Endpoint
	do    bulktest.Behavior
	when  func(*http.Request) bool
	times int // 0 means once
	fails bool
	kind  transport.Kind // if it fails
	want  string         // content of the first file, "" for the server's own
	opts  bulktest.Options
}

// play exports everything and checks what comes.
func (f fault) play(t *testing.T) {
	server := newServer(t, f.opts)
	c := newClient(t, server, func(o *bulk.Options) {
		o.HTTP = transport.New(transport.Options{StallTimeout: time.Second})
		t.Cleanup(o.HTTP.CloseIdleConnections)
		o.Poll.Outage, o.Poll.Deadline = 100*time.Millisecond, 2*time.Second
		o.FileAttempts = 3
	})
	server.Inject(bulktest.Fault{Name: f.name, On: f.on, When: f.when, Times: f.times, Do: f.do})
	got, err := exportAll(t, c)
	played := false
	for _, r := range server.Requests() {
		played = played || r.Fault == f.name
	}
	if !played {
		t.Error("the fault was not played")
	}
	if f.fails {
		wantError(t, err, f.kind)
		return
	}
	want := []string{"{\"resourceType\":\"Patient\",\"id\":\"1\"}\n{\"resourceType\":\"Patient\",\"id\":\"2\"}\n",
		`{"resourceType":"Coverage","id":"3","status":"active","beneficiary":{"reference":"Patient/1"}}` + "\n"}
	if f.want != "" {
		want[0] = f.want
	}
	if f.want == "none" {
		want = nil
	}
	if err != nil || len(got) < len(want) || strings.Join(got[:min(len(want), len(got))], "") != strings.Join(want, "") || want == nil && len(got) > 0 {
		t.Errorf("got %.300q, %v, want %.300q", got, err, want)
	}
}

// exportAll returns the content of all output files, or the first error.
func exportAll(t *testing.T, c *bulk.Client) ([]string, error) {
	job, err := c.KickOff(t.Context(), bulk.Request{Level: bulk.System, SeparateStatus: true})
	if err != nil {
		return nil, err
	}
	m, err := c.Wait(t.Context(), job, nil)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, f := range m.Output {
		content, _, err := read(t.Context(), c, m, f)
		if err != nil {
			return nil, err
		}
		all = append(all, content)
	}
	return all, nil
}

// header edits the header of a response.
func header(edits ...string) bulktest.Behavior {
	return bulktest.EditHead(func(status int, h http.Header) int {
		for i := 0; i < len(edits); i += 2 {
			if h.Del(edits[i]); edits[i+1] != "" {
				h.Set(edits[i], edits[i+1])
			}
		}
		return status
	})
}

func kickOffFaults() []fault {
	where := func(edit func(h http.Header, status string)) bulktest.Behavior {
		return bulktest.EditHead(func(code int, h http.Header) int {
			status := h.Get("Content-Location")
			edit(h, status)
			return code
		})
	}
	respond := bulktest.Respond
	const at = bulktest.KickOffEndpoint
	return []fault{
		{name: "kick-off: 200 with the manifest", on: at, do: respond(200, nil, `{"transactionTime":"2026-01-01T00:00:00Z","output":[]}`), want: "none"},
		{name: "kick-off: 202 with Location alone", on: at, do: where(func(h http.Header, s string) { h.Del("Content-Location"); h.Set("Location", s) })},
		{name: "kick-off: 202 with neither", on: at, do: header("Content-Location", ""), fails: true, kind: transport.Broken},
		{name: "kick-off: relative URL", on: at, do: where(func(h http.Header, s string) { h.Set("Content-Location", s[strings.Index(s, "/fhir/"):]) })},
		{name: "kick-off: http URL of another host", on: at, do: header("Content-Location", "http://192.0.2.1/job/1"), fails: true, kind: transport.Broken},
		{name: "kick-off: wrong host", on: at, do: header("Content-Location", "https://elsewhere.example/job/1"), fails: true, kind: transport.Broken},
		{name: "kick-off: two Content-Location values", on: at, do: where(func(h http.Header, s string) { h.Add("Content-Location", s+"?again") })},
		{name: "kick-off: comma list in 429", on: at, do: respond(429, http.Header{"Content-Location": {"https://elsewhere.example/1, https://elsewhere.example/2"}, "Retry-After": {"0"}}, ""), fails: true, kind: transport.Unavailable},
		{name: "kick-off: 429, empty, Retry-After 0", on: at, do: respond(429, http.Header{"Retry-After": {"0"}}, "")},
		{name: "kick-off: 403", on: at, times: bulktest.Always, do: respond(403, nil, ""), fails: true, kind: transport.Denied},
		{name: "kick-off: 406", on: at, times: bulktest.Always, do: respond(406, nil, ""), fails: true, kind: transport.Refused},
		{name: "kick-off: 501", on: at, times: bulktest.Always, do: respond(501, nil, ""), fails: true, kind: transport.NotThere},
		{name: "kick-off: Preference-Applied", on: at, do: header("Preference-Applied", "respond-async, separate-export-status")},
	}
}

func pollFaults() []fault {
	const at = bulktest.StatusEndpoint
	respond := bulktest.Respond
	polls := func(edits ...string) bulktest.Behavior { return header(edits...) }
	one := bulktest.Options{Polls: 1}
	return []fault{
		{name: "poll: 202 without headers", on: at, do: polls("Retry-After", "", "X-Progress", ""), opts: one},
		{name: "poll: Retry-After 7200", on: at, do: polls("Retry-After", "7200"), opts: one},
		{name: "poll: Retry-After as a date", on: at, do: polls("Retry-After", "Fri, 31 Dec 2100 23:59:59 GMT"), opts: one},
		{name: "poll: Retry-After in the past", on: at, do: polls("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"), opts: one},
		{name: "poll: Retry-After in epoch milliseconds", on: at, do: polls("Retry-After", "4102444800000"), opts: one},
		{name: "poll: Retry-After garbage", on: at, do: polls("Retry-After", "soon"), opts: one},
		{name: "poll: X-RetryAfter", on: at, do: polls("Retry-After", "", "X-RetryAfter", "3600"), opts: one},
		{name: "poll: 429", on: at, times: 2, do: respond(429, nil, "")},
		{name: "poll: 500 transient", on: at, times: 2, do: bulktest.Outcome(500, "transient", "later")},
		{name: "poll: 500 final", on: at, do: bulktest.Outcome(500, "processing", "dead"), fails: true, kind: transport.Refused},
		{name: "poll: 500 html", on: at, times: 2, do: respond(500, nil, "<html>"+secret)},
		{name: "poll: 503 empty", on: at, times: 2, do: respond(503, nil, "")},
		{name: "poll: 503 for ever", on: at, times: bulktest.Always, do: bulktest.Outcome(503, "processing", "down"), fails: true, kind: transport.Unavailable},
		{name: "poll: 401 once", on: at, do: bulktest.Outcome(401, "expired", "token")},
		{name: "poll: 401 for ever", on: at, times: bulktest.Always, do: bulktest.Outcome(401, "login", "not yours"), fails: true, kind: transport.Denied},
		{name: "poll: 202 for ever", on: at, times: bulktest.Always, do: respond(202, nil, ""), fails: true, kind: transport.Unavailable},
		{name: "poll: 202 with a partial manifest that the last one denies", on: at, fails: true, kind: transport.Broken,
			do: respond(202, nil, `{"transactionTime":"2026-01-01T00:00:00Z","output":[{"type":"Patient","url":"/gone"}]}`)},
		{name: "poll: 202 with text", on: at, do: respond(202, nil, "still at it")},
		{name: "poll: 404", on: at, do: respond(404, nil, ""), times: bulktest.Always, fails: true, kind: transport.Refused},
		{name: "poll: 410", on: at, do: respond(410, nil, ""), fails: true, kind: transport.Refused},
		{name: "poll: X-Progress over 100 characters", on: at, do: polls("X-Progress", strings.Repeat("x", 5000)), opts: one},
		{name: "poll: another status URL host", on: at, do: polls("Content-Location", "https://elsewhere.example/job"), opts: one},
		{name: "poll: redirect to another host", on: at, do: respond(302, http.Header{"Location": {"https://192.0.2.1:1/job"}}, ""), opts: one, times: bulktest.Always, fails: true, kind: transport.Unavailable},
	}
}

func manifestFaults() []fault {
	edit := func(edit func(m map[string]any)) bulktest.Behavior { return bulktest.EditManifest(edit) }
	output := func(m map[string]any) []any { return m["output"].([]any) }
	first := func(m map[string]any) map[string]any { return output(m)[0].(map[string]any) }
	set := func(key string, v any) bulktest.Behavior { return edit(func(m map[string]any) { m[key] = v }) }
	link := func(url string) any { return []any{map[string]any{"relation": "next", "url": url}} }
	faults := []fault{
		{name: "errors alone", want: "none", do: edit(func(m map[string]any) { m["error"] = output(m)[:1]; m["output"] = []any{} })},
		{name: "empty", want: "none", do: set("output", []any{})},
		{name: "no output and no error", want: "none", do: edit(func(m map[string]any) { delete(m, "output"); delete(m, "error") })},
		{name: "outcome", do: edit(func(m map[string]any) { m["outcome"] = m["error"]; delete(m, "error") })},
		{name: "extension as an object", do: set("extension", map[string]any{"https://x": 1})},
		{name: "extension as an array", do: set("extension", []any{map[string]any{"url": "https://x"}})},
		{name: "4.0.0-ballot", do: edit(func(m map[string]any) {
			delete(m, "request")
			m["manifestType"], m["outputFormat"] = "export", "application/fhir+ndjson"
			first(m)["fileSize"] = 3
		})},
		{name: "next page is missing", do: set("link", link("/nowhere")), fails: true, kind: transport.Broken},
		{name: "missing type", do: edit(func(m map[string]any) { delete(first(m), "type") })},
		{name: "unknown type", do: edit(func(m map[string]any) { first(m)["type"] = "Unheard" })},
		{name: "duplicate URL", do: edit(func(m map[string]any) { m["output"] = append(output(m), output(m)[0]) })},
		{name: "duplicate URL with another count", fails: true, kind: transport.Broken, do: edit(func(m map[string]any) {
			m["output"] = append(output(m), map[string]any{"type": "Patient", "url": first(m)["url"], "count": 99})
		})},
		{name: `requiresAccessToken "false"`, do: set("requiresAccessToken", "false"), opts: bulktest.Options{OpenFiles: true}},
		{name: "Expires as Go prints it", do: header("Expires", "2026-11-22 10:00:00.123 +0000 UTC m=+1.5")},
		{name: "transactionTime older than the watermark", do: set("transactionTime", "1999-01-01T00:00:00Z")},
		{name: "transactionTime a date", do: set("transactionTime", "2026-01-01")},
		{name: "transactionTime without a zone", do: set("transactionTime", "2026-01-01T00:00:00")},
		{name: "count 0", do: edit(func(m map[string]any) { first(m)["count"] = 0 })},
		{name: "relative URL", do: edit(func(m map[string]any) {
			u := first(m)["url"].(string)
			first(m)["url"] = u[strings.Index(u, "/fhir/"):]
		})},
		{name: "file at another host that wants the token", fails: true, kind: transport.Broken, do: edit(func(m map[string]any) { first(m)["url"] = "https://elsewhere.example/1" })},
		{name: "SHA-256 of another file", fails: true, kind: transport.Broken, do: edit(func(m map[string]any) {
			first(m)["extension"] = []any{map[string]any{"url": "https://ab2d.cms.gov/checksum", "valueString": "sha256:" + sum("other")}}
		})},
		{name: "SHA-256, and DPC's length of the gzip", do: edit(func(m map[string]any) {
			first(m)["extension"] = []any{map[string]any{"url": "https://dpc.cms.gov/checksum", "valueString": "sha256:" + sum("{\"resourceType\":\"Patient\",\"id\":\"1\"}\n{\"resourceType\":\"Patient\",\"id\":\"2\"}\n")},
				map[string]any{"url": "https://dpc.cms.gov/file_length", "valueDecimal": 7}}
		})},
		{name: "AB2D's length of another file", fails: true, kind: transport.Broken, do: edit(func(m map[string]any) {
			first(m)["extension"] = []any{map[string]any{"url": "https://ab2d.cms.gov/file_length", "valueDecimal": 7}}
		})},
		{name: "an entry of 2 MiB", fails: true, kind: transport.Broken, do: edit(func(m map[string]any) { first(m)["x"] = strings.Repeat("x", 2<<20) })},
	}
	for i := range faults {
		faults[i].name, faults[i].on, faults[i].times = "manifest: "+faults[i].name, bulktest.StatusEndpoint, bulktest.Always
	}
	return faults
}

func fileFaults() []fault {
	respond := bulktest.Respond
	patients := "{\"resourceType\":\"Patient\",\"id\":\"1\"}\n{\"resourceType\":\"Patient\",\"id\":\"2\"}\n"
	body := func(s string) bulktest.Behavior { return bulktest.EditBody(func([]byte) []byte { return []byte(s) }) }
	const always = bulktest.Always
	var downloads atomic.Int64
	at := func(name string, do bulktest.Behavior) fault {
		return fault{name: "file: " + name, on: bulktest.FileEndpoint, do: do}
	}
	bad := func(name string, do bulktest.Behavior, kind transport.Kind) fault {
		return fault{name: "file: " + name, on: bulktest.FileEndpoint, do: do, times: always, fails: true, kind: kind}
	}
	is := func(name, content string) fault {
		f := at(name, body(content))
		f.want, f.when, f.times = content, bulktest.PathContains("/Patient."), always // a busy machine may stall, and ask again
		return f
	}
	long := "{\"resourceType\":\"Patient\",\"id\":\"" + strings.Repeat("x", 50<<20) + "\"}\n"
	return []fault{
		at("401 after the token's end", bulktest.Outcome(401, "expired", "token")),
		bad("S3 refuses Authorization", respond(400, nil, `<?xml version="1.0"?><Error>Only one auth mechanism allowed</Error>`), transport.Refused),
		bad("307 to another host, down", respond(307, http.Header{"Location": {"https://127.0.0.1:1/x"}}, ""), transport.Unavailable),
		bad("403, and the manifest has no other link", respond(403, nil, "<Error>expired"), transport.Denied),
		at("404, then 200", respond(404, nil, "")),
		bad("404 for ever", respond(404, nil, ""), transport.Broken),
		bad("410", respond(410, nil, ""), transport.Broken),
		at("429", respond(429, http.Header{"Retry-After": {"1"}}, "")),
		bad("429 for ever", respond(429, nil, ""), transport.Unavailable),
		bad("503 for ever", respond(503, nil, ""), transport.Unavailable),
		at("truncated chunked", bulktest.CutBody(20)),
		bad("truncated chunked for ever", bulktest.CutBody(20), transport.Broken),
		at("short of its Content-Length", bulktest.Chain(bulktest.CutBody(30), header("Content-Length", "999"))),
		at("gzip without its header", header("Content-Encoding", "")),
		at("header without gzip", bulktest.Chain(header("Content-Encoding", "gzip"), body(patients))),
		at("gzip and an empty member", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(append(compress(patients), compress("")...))
		}),
		at("truncated gzip", bulktest.TruncateBody(40)),
		bad("truncated gzip for ever", bulktest.TruncateBody(40), transport.Broken),
		is("byte order mark", "\uFEFF"+patients),
		is("CRLF", strings.ReplaceAll(patients, "\n", "\r\n")),
		is("blank lines", "\n\n"+strings.ReplaceAll(patients, "\n", "\n\n")),
		is("no final newline", strings.TrimSuffix(patients, "\n")),
		is("a line of 50 MB", long),
		is("an invalid line", "{oops}\n"+patients), // for whoever reads the lines
		is("two objects in a line", `{"resourceType":"Patient","id":"1"}{"resourceType":"Patient","id":"2"}`+"\n"),
		is("another resourceType", `{"resourceType":"Observation","id":"1"}`+"\n"),
		bad("OperationOutcome with 200", bulktest.Outcome(200, "processing", "no"), transport.Refused),
		at("transient OperationOutcome with 200", bulktest.Outcome(200, "transient", "later")),
		bad("html with 200", respond(200, nil, "<html>"+secret), transport.Broken),
		bad("206 unasked", respond(206, http.Header{"Content-Range": {"bytes 0-9/100"}}, "{}\n"), transport.Broken),
		bad("416 unasked", respond(416, nil, ""), transport.Refused),
		at("silence within", bulktest.StallBody(20)),
		bad("silence for ever", bulktest.StallBody(20), transport.Broken),
		at("reset within", bulktest.ResetBody(20)),
		{name: "file: no more than 6 downloads", on: bulktest.FileEndpoint, times: always, do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if downloads.Add(1) > 6 {
				bulktest.Outcome(500, "processing", "downloaded too often")(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		}},
		bad("500 with a final OperationOutcome", bulktest.Outcome(500, "processing", "downloaded too often"), transport.Refused),
		at("ETag weak", bulktest.Chain(bulktest.CutBody(30), header("ETag", `W/"1"`))),
		at("ETag unquoted", bulktest.Chain(bulktest.CutBody(30), header("ETag", "1"))),
	}
}

// Every fault that servers are known for ends in the right rows or the right error.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, faults := range [][]fault{kickOffFaults(), pollFaults(), manifestFaults(), fileFaults()} {
		for _, f := range faults {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				f.play(t)
			})
		}
	}
}
