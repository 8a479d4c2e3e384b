package bulk_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/transport"
)

// manifestOf makes a client read a manifest, in which {server} is the server's root.
func manifestOf(t *testing.T, body string) (*bulk.Manifest, string, error) {
	t.Helper()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.ReplaceAll(body, "{server}", "http://"+r.Host))
	})
	job, err := clientAt(t, server.URL+"/fhir").KickOff(t.Context(), bulk.Request{Level: bulk.System})
	return job.Manifest, server.URL, err
}

func TestManifest(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const head = `"transactionTime":"2026-03-01T12:00:00Z","requiresAccessToken":true`
	files := func(base string, paths ...string) []bulk.File {
		var fs []bulk.File
		for _, p := range paths {
			fs = append(fs, bulk.File{Type: "Patient", URL: base + p, Count: -1})
		}
		return fs
	}
	for _, test := range []struct {
		name, body string
		want       func(server string) bulk.Manifest
	}{
		{"all", `{` + head + `,"request":"x","outputOrganizedBy":"Patient","output":[{"type":"Patient","url":"{server}/1","count":2},{"type":"Coverage","url":"{server}/2","count":0,"fileSize":7}],
			"deleted":[{"type":"Bundle","url":"{server}/3","count":1}],"error":[{"type":"OperationOutcome","url":"{server}/4"}],"extension":{"a":1}}`,
			func(s string) bulk.Manifest {
				return bulk.Manifest{RequiresAccessToken: true, OrganizedBy: "Patient",
					Output:  []bulk.File{{Type: "Patient", URL: s + "/1", Count: 2}, {Type: "Coverage", URL: s + "/2", Count: 0}},
					Deleted: []bulk.File{{Type: "Bundle", URL: s + "/3", Count: 1}},
					Errors:  []bulk.File{{Type: "OperationOutcome", URL: s + "/4", Count: -1}}}
			}},
		{"no output, no error", `{` + head + `}`, func(string) bulk.Manifest { return bulk.Manifest{RequiresAccessToken: true} }},
		{"null lists", `{` + head + `,"output":null,"error":null}`, func(string) bulk.Manifest { return bulk.Manifest{RequiresAccessToken: true} }},
		{"no token", `{"transactionTime":"2026-03-01T12:00:00Z","requiresAccessToken":false,"output":[]}`, func(string) bulk.Manifest { return bulk.Manifest{} }},
		{"no token, as a string", `{"transactionTime":"2026-03-01T12:00:00Z","requiresAccessToken":"false","output":[]}`, func(string) bulk.Manifest { return bulk.Manifest{} }},
		{"token not mentioned", `{"transactionTime":"2026-03-01T12:00:00Z","output":[]}`, func(string) bulk.Manifest { return bulk.Manifest{RequiresAccessToken: true} }},
		{"outcome, as in 4.0.0", `{` + head + `,"outcome":[{"url":"{server}/1","countSeverity":[]}],"extension":[]}`,
			func(s string) bulk.Manifest {
				return bulk.Manifest{RequiresAccessToken: true, Errors: []bulk.File{{URL: s + "/1", Count: -1}}}
			}},
		{"error and outcome name the same file", `{` + head + `,"error":[{"type":"Patient","url":"{server}/1"}],"outcome":[{"type":"Patient","url":"{server}/1"},{"type":"Patient","url":"{server}/2"}]}`,
			func(s string) bulk.Manifest {
				return bulk.Manifest{RequiresAccessToken: true, Errors: files(s, "/1", "/2")}
			}},
		{"relative URLs", `{` + head + `,"output":[{"type":"Patient","url":"/a/1"},{"type":"Patient","url":"file/2?x"}]}`,
			func(s string) bulk.Manifest {
				return bulk.Manifest{RequiresAccessToken: true, Output: files(s, "/a/1", "/fhir/file/2?x")}
			}},
		{"count as a string", `{` + head + `,"output":[{"type":"Patient","url":"{server}/1","count":"12"},{"type":"Patient","url":"{server}/2","count":null}]}`,
			func(s string) bulk.Manifest {
				m := bulk.Manifest{RequiresAccessToken: true, Output: files(s, "/1", "/2")}
				m.Output[0].Count = 12
				return m
			}},
		{"byte order mark", "\uFEFF" + `{` + head + `}`, func(string) bulk.Manifest { return bulk.Manifest{RequiresAccessToken: true} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, server, err := manifestOf(t, test.body)
			if err != nil {
				t.Fatal(err)
			}
			want := test.want(server)
			want.TransactionTime, want.TransactionTimeText = noon, "2026-03-01T12:00:00Z"
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("another manifest (-want +got):\n%s", diff)
			}
		})
	}
}

func TestManifestTransactionTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"2026-03-01T12:00:00Z":           time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		"2026-03-01T12:00:00.123456789Z": time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC),
		"2026-03-01T12:00:00+02:00":      time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC),
		"2026-03-01T12:00:00":            {},
		"2026-03-01":                     {},
		"yesterday":                      {},
		"":                               {},
	} {
		m, _, err := manifestOf(t, fmt.Sprintf(`{"transactionTime":%q,"output":[]}`, text))
		if err != nil {
			t.Fatal(err)
		}
		if !m.TransactionTime.Equal(want) || m.TransactionTimeText != text {
			t.Errorf("%q was read as %v, %q", text, m.TransactionTime, m.TransactionTimeText)
		}
	}
}

func TestManifestRefused(t *testing.T) {
	t.Parallel()
	const head = `{"transactionTime":"2026-03-01T12:00:00Z","requiresAccessToken":true,`
	for _, test := range []struct {
		name, body string
		kind       transport.Kind
		text, hint string
	}{
		{"html", "  \n<!DOCTYPE html>" + secret, transport.NotThere, "got a web page instead of the manifest", "login page"},
		{"html after a byte order mark", "\uFEFF<html>", transport.NotThere, "a web page", "login page"},
		{"xml", `<?xml version="1.0"?><Bundle/>`, transport.NotThere, "a web page", "fhir:"},
		{"outcome", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","diagnostics":"out of disk"}]}`, transport.Refused, "out of disk", "OperationOutcome"},
		{"other JSON", `{"status":"up","secret":"` + secret + `"}`, transport.Broken, "not a manifest", "fhir:"},
		{"a resource", `{"resourceType":"Bundle","entry":[]}`, transport.Broken, "not a manifest", "fhir:"},
		{"an array", `[]`, transport.Broken, "unreadable", "owner"},
		{"empty", ``, transport.Broken, "unreadable", "owner"},
		{"cut", head + `"output":[{"type":`, transport.Broken, "unreadable", "owner"},
		{"two", head + `"output":[]}{}`, transport.Broken, "unreadable", "owner"},
		{"output is an object", head + `"output":{}}`, transport.Broken, "unreadable", "owner"},
		{"no url", head + `"output":[{"type":"Patient"}]}`, transport.Broken, "file 1 of the manifest (Patient): its url is missing", "owner"},
		{"no file", head + `"output":[{"type":"Patient","url":"{server}/1"},null]}`, transport.Broken, "file 2 of the manifest", "owner"},
		{"a long url", head + `"output":[{"type":"Patient","url":"/` + strings.Repeat("x", 16<<10) + `"}]}`, transport.Broken, "file 1 of the manifest (Patient): its url is longer than 16384 bytes", "owner"},
		{"next with a long url", head + `"link":[{"relation":"next","url":"/` + strings.Repeat("x", 16<<10) + `"}]}`, transport.Broken, "next page has an unreadable URL", "owner"},
		{"unreadable url", head + `"output":[{"type":"Patient","url":"http://[::1/` + secret + `"}]}`, transport.Broken, "file 1", "owner"},
		{"opaque url", head + `"deleted":[{"type":"Bundle","url":"urn:uuid:1"}]}`, transport.Broken, "file 1 of the manifest (Bundle)", "owner"},
		{"negative count", head + `"output":[{"type":"Patient","url":"{server}/1","count":-1}]}`, transport.Broken, `its count "-1"`, "owner"},
		{"fraction of a count", head + `"output":[{"type":"Patient","url":"{server}/1","count":1.5}]}`, transport.Broken, `its count "1.5"`, "owner"},
		{"count beyond an int64", head + `"output":[{"type":"Patient","url":"{server}/1","count":99999999999999999999}]}`, transport.Broken, "its count", "owner"},
		{"count as a word", head + `"output":[{"type":"Patient","url":"{server}/1","count":"many"}]}`, transport.Broken, "unreadable", "owner"},
		{"a type of control characters", head + `"output":[{"type":"a\u001b[31m\nb"}]}`, transport.Broken, "(a … b)", "owner"},
		{"next without a url", head + `"link":[{"relation":"next"}]}`, transport.Broken, "next page has an unreadable URL", "owner"},
		{"next with an unreadable url", head + `"link":[{"relation":"next","url":"http://[::1/` + secret + `"}]}`, transport.Broken, "next page has an unreadable URL", "owner"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, server, err := manifestOf(t, test.body)
			wantHint(t, wantError(t, err, test.kind, "starting the export at "+server+"/fhir/$export", test.text), test.hint)
		})
	}
}

// pages serves a manifest in pages by path; {server} is the server's root.
func pages(t *testing.T, pages map[string]string) (*bulk.Client, bulk.Job) {
	t.Helper()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.RequestURI()]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if r.Header.Get("Authorization") == "" || r.Header.Get("Accept") != acceptStatus {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, strings.ReplaceAll(page, "{server}", "http://"+r.Host))
	})
	return clientAt(t, server.URL, bearer("x")), bulk.Job{StatusURL: server.URL + "/1?" + secret}
}

// page returns a page that lists a file of each kind, named after the page.
func page(name, next string) string {
	link := ""
	if next != "" {
		link = `,"link":[{"relation":"self","url":"/self"},{"relation":"next","url":"` + next + `"}]`
	}
	return `{"transactionTime":"2026-03-01T12:00:00Z","requiresAccessToken":true,"output":[{"type":"Patient","url":"/o` + name + `"}],
		"deleted":[{"type":"Bundle","url":"/d` + name + `"}],"error":[{"type":"OperationOutcome","url":"/e"},{"type":"OperationOutcome","url":"/e` + name + `"}]` + link + `}`
}

func TestManifestPages(t *testing.T) {
	t.Parallel()
	c, job := pages(t, map[string]string{"/1?" + secret: page("1", "2?x=1"), "/2?x=1": page("2", "{server}/3"), "/3": page("3", "")})
	m, err := c.Wait(t.Context(), job, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, list := range [][]bulk.File{m.Output, m.Deleted, m.Errors} {
		for _, f := range list {
			got = append(got, f.URL[strings.LastIndex(f.URL, "/")+1:])
		}
	}
	if want := "o1 o2 o3 d1 d2 d3 e e1 e2 e3"; strings.Join(got, " ") != want {
		t.Errorf("got the files %v, want %s", got, want)
	}
}

func TestManifestPagesRefused(t *testing.T) {
	t.Parallel()
	first := "/1?" + secret
	for _, test := range []struct {
		name  string
		pages map[string]string
		kind  transport.Kind
		text  string
	}{
		{"to itself", map[string]string{first: page("1", "1?"+secret)}, transport.Broken, "link back"},
		{"round", map[string]string{first: page("1", "/2"), "/2": page("2", "/3"), "/3": page("3", "/2")}, transport.Broken, "link back"},
		{"missing", map[string]string{first: page("1", "/2"), "/2": page("2", "/3?"+secret)}, transport.Broken, "404"},
		{"html", map[string]string{first: page("1", "/2"), "/2": "<html>"}, transport.NotThere, "a web page"},
		{"outcome", map[string]string{first: page("1", "/2"), "/2": `{"resourceType":"OperationOutcome","issue":[{"diagnostics":"out of disk"}]}`}, transport.Refused, "out of disk"},
		{"other JSON", map[string]string{first: page("1", "/2"), "/2": `{}`}, transport.Broken, "not a manifest"},
		{"bad file", map[string]string{first: page("1", "/2"), "/2": `{"output":[{}]}`}, transport.Broken, "file 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, job := pages(t, test.pages)
			m, err := c.Wait(t.Context(), job, nil)
			wantError(t, err, test.kind, "reading the next page of the manifest", test.text)
			if m != nil {
				t.Errorf("half a manifest was returned: %+v", m)
			}
		})
	}
}

// A page that fails for good is not requested again.
func TestManifestPageFailed(t *testing.T) {
	t.Parallel()
	const failed = `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","diagnostics":"out of disk"}]}`
	server, requests := script(t, respond(200, nil, page("1", "/2")), respond(500, nil, failed))
	_, err := clientAt(t, server.URL).Wait(t.Context(), bulk.Job{StatusURL: server.URL}, nil)
	wantError(t, err, transport.Refused, "reading the next page of the manifest", "500 Internal Server Error: out of disk")
	if requests.Load() != 2 {
		t.Errorf("got %d requests, want 2", requests.Load())
	}
}

// A manifest that answers the kick-off may have pages too, and a transient failure of one is
// retried.
func TestManifestPagesOfASynchronousAnswer(t *testing.T) {
	t.Parallel()
	server, requests := script(t, respond(200, nil, page("1", "/2")), respond(503, nil, "<html>"), respond(200, nil, page("2", "")))
	job, err := clientAt(t, server.URL).KickOff(t.Context(), bulk.Request{Level: bulk.System})
	if err != nil || len(job.Manifest.Output) != 2 || requests.Load() != 3 {
		t.Errorf("got %+v, %v after %d requests", job.Manifest, err, requests.Load())
	}
}

// The bounds on a manifest count all its lists and pages together.
func TestManifestIsBounded(t *testing.T) {
	t.Parallel()
	files := func(n int, url string) string {
		return `[{"url":"` + url + `"}` + strings.Repeat(`,{"url":"`+url+`"}`, n-1) + `]`
	}
	const head = `{"transactionTime":"2026-03-01T12:00:00Z","link":[{"relation":"next","url":"/2"}]`
	for name, test := range map[string]struct{ first, second, says string }{
		"lists of one name": {head + strings.Repeat(`,"output":`+files(400_000, "/a"), 3) + `}`, "", "more than 1000000 files"},
		"lists":             {head + `,"output":` + files(600_000, "/a") + `,"deleted":` + files(600_000, "/a") + `}`, "", "more than 1000000 files"},
		"pages":             {head + `,"output":` + files(400_000, "/a") + `}`, strings.Replace(head, "/2", "/3", 1) + `,"output":` + files(400_000, "/a") + `}`, "more than 1000000 files"}, // at the third page
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := script(t, respond(200, nil, test.first), respond(200, nil, test.second))
			_, err := clientAt(t, server.URL).Wait(t.Context(), bulk.Job{StatusURL: server.URL + "/1"}, nil)
			wantError(t, err, transport.Broken, test.says)
		})
	}
}
