package bulk_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/transport"
)

func issuesOf(t *testing.T, c *bulk.Client, url string) (issues []bulk.Issue, err error) {
	t.Helper()
	issues, _, err = failedOf(t, c, url)
	return issues, err
}

// failedOf also returns the entries that have a failed issue.
func failedOf(t *testing.T, c *bulk.Client, url string) (issues []bulk.Issue, entries []string, err error) {
	t.Helper()
	err = c.Issues(t.Context(), &bulk.Manifest{}, bulk.File{Type: "OperationOutcome", URL: url}, func(i bulk.Issue) { issues = append(issues, i) },
		func(entry []byte) error { entries = append(entries, string(entry)); return nil })
	return issues, entries, err
}

func TestIssues(t *testing.T) {
	t.Parallel()
	const body = `{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception","diagnostics":"first"},{"severity":"information","code":"success"}]}

{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x","details":{"text":"by text"}},{"severity":"warning","code":"y","details":{"coding":[{"display":"by coding"}]}}]}
{"resourceType":"Patient","id":"1"}
"a string"
{"resourceType":"OperationOutcome"}
{"resourceType":"OperationOutcome","issue":[{"code":"no severity"}]}
{"id":"a","text":{"div":"b"},"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"y"},7],"x":8}
{"resourceType":"OperationOutcome","issue":{"severity":"warning","code":"y"}}
{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":["y"]}]}
{"resourceType":"OperationOutcome","issue":null}`
	server, _ := script(t, file(compress(body), nil))
	got, entries, err := failedOf(t, clientAt(t, server.URL), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.DeleteFunc(strings.Split(body, "\n"), func(line string) bool { return line == "" }) // each of them has failed
	if diff := cmp.Diff(lines, entries); diff != "" {
		t.Errorf("other entries (-want +got):\n%s", diff)
	}
	want := []bulk.Issue{
		{Severity: "fatal", Code: "exception", Diagnostics: "first"},
		{Severity: "information", Code: "success"},
		{Severity: "error", Code: "x", Diagnostics: "by text"},
		{Severity: "warning", Code: "y", Diagnostics: "by coding"},
		{Severity: "error", Code: "not-an-outcome"},
		{Severity: "error", Code: "not-an-outcome"},
		{Severity: "error", Code: "not-an-outcome"},
		{Code: "no severity"},
		{Severity: "warning", Code: "y"},
		{Severity: "error", Code: "not-an-outcome"},
		{Severity: "error", Code: "not-an-outcome"},
		{Severity: "error", Code: "not-an-outcome"},
		{Severity: "error", Code: "not-an-outcome"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other issues (-want +got):\n%s", diff)
	}
	var failed []bool
	for _, i := range got {
		failed = append(failed, i.Failed())
	}
	if diff := cmp.Diff([]bool{true, false, true, false, true, true, true, true, false, true, true, true, true}, failed); diff != "" {
		t.Errorf("Failed says otherwise (-want +got):\n%s", diff)
	}
}

// Manifests list error files under other types, and files begin with a byte order mark.
func TestIssuesOfOddFiles(t *testing.T) {
	t.Parallel()
	server, _ := script(t, file([]byte("\uFEFF"+`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x"}]}`+"\n"), nil))
	for _, listed := range []string{"", "Patient", "OperationOutcome"} {
		n := 0
		err := clientAt(t, server.URL).Issues(t.Context(), &bulk.Manifest{}, bulk.File{Type: listed, URL: server.URL, Count: -1}, func(bulk.Issue) { n++ },
			func([]byte) error { return nil })
		if err != nil || n != 1 {
			t.Errorf("of type %q: got %d issues, %v", listed, n, err)
		}
	}
}

func TestIssuesOfAnEmptyFile(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "\n\n"} {
		server, _ := script(t, file([]byte(body), nil))
		if got, err := issuesOf(t, clientAt(t, server.URL), server.URL); err != nil || got != nil {
			t.Errorf("%q: got %v, %v", body, got, err)
		}
	}
}

func TestIssuesUnreadable(t *testing.T) {
	t.Parallel()
	const outcome = `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x"}]}` + "\n"
	for _, test := range []struct {
		name, body string
		text       string
	}{
		{"not JSON", outcome + "{" + secret + "}", "entry 2 is not JSON"},
		{"endless", outcome + `{"resourceType":"OperationOutcome","issue":[{"diagnostics":"` + strings.Repeat("x", 17<<20) + `"}]}`, "entry 2 is longer than 16777216 bytes"},
		{"cut between braces", outcome + `{"resourceType":"OperationOutcome","issue":[{"details":{}`, "entry 2 is not JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, requests := script(t, file([]byte(test.body), nil))
			got, err := issuesOf(t, clientAt(t, server.URL), server.URL)
			wantHint(t, wantError(t, err, transport.Broken, "reading an output file of OperationOutcome", test.text), "owner")
			if len(got) != 1 || requests.Load() != 1 {
				t.Errorf("got %v after %d requests", got, requests.Load())
			}
		})
	}
	t.Run("cut", func(t *testing.T) { // must not be reported as bad JSON
		t.Parallel()
		server, _ := script(t, cutFile(20, []byte(outcome), nil))
		_, err := issuesOf(t, clientAt(t, server.URL, attempts(2)), server.URL)
		wantError(t, err, transport.Broken, "cut off after 20 bytes", "2 attempts")
	})
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		server, _ := script(t, respond(404, nil, ""))
		_, err := issuesOf(t, clientAt(t, server.URL), server.URL)
		wantError(t, err, transport.Broken, "404")
	})
}

func TestOutcomeTransient(t *testing.T) {
	t.Parallel()
	passing, final, remark := bulk.Issue{Severity: "error", Code: "transient"}, bulk.Issue{Severity: "error", Code: "processing"}, bulk.Issue{Severity: "warning", Code: "processing"}
	for _, test := range []struct {
		issues []bulk.Issue
		want   bool
	}{
		{nil, false},
		{[]bulk.Issue{passing}, true},
		{[]bulk.Issue{passing, remark}, true},
		{[]bulk.Issue{remark}, false},
		{[]bulk.Issue{passing, final}, false},
		{[]bulk.Issue{final, passing}, false},
		{[]bulk.Issue{{Code: "throttled"}}, true},
		{[]bulk.Issue{{Severity: "fatal", Code: "timeout"}, {Severity: "error", Code: "lock-error"}}, true},
	} {
		if got := (bulk.Outcome{Issues: test.issues}).Transient(); got != test.want {
			t.Errorf("Transient of %v is %v", test.issues, got)
		}
	}
}

// Entries that say nothing is missing are not told of as failed, and whoever is told may stop it.
func TestFailedEntries(t *testing.T) {
	t.Parallel()
	body := `{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"x"}]}` + "\n" + `{"resourceType":"OperationOutcome",
 "issue":[{"severity":"warning","code":"x"},{"severity":"fatal","code":"x"},{"severity":"error"}]}` + "\n"
	server, _ := script(t, file([]byte(body), nil))
	_, want, _ := strings.Cut(body, "\n")
	if _, got, err := failedOf(t, clientAt(t, server.URL), server.URL); err != nil || len(got) != 1 || got[0]+"\n" != want {
		t.Errorf("got %q, %v", got, err)
	}
	stop := errors.New("enough")
	err := clientAt(t, server.URL).Issues(t.Context(), &bulk.Manifest{}, bulk.File{URL: server.URL, Count: -1}, func(bulk.Issue) {},
		func([]byte) error { return stop })
	if err != stop {
		t.Errorf("error %v", err)
	}
}

// Each issue of an error file counts. Of a response with thousands of issues, some are kept, plus
// one that marks the rest as possible errors.
func TestThousandsOfIssues(t *testing.T) {
	t.Parallel()
	body := `{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"x"}` + strings.Repeat(`,{"severity":"warning","code":"x"}`, 2_999) + `]}`
	server, _ := script(t, file([]byte(body+"\n"), nil))
	if got, err := issuesOf(t, clientAt(t, server.URL), server.URL); err != nil || len(got) != 3_000 || got[2_999].Failed() {
		t.Errorf("got %d issues, %v", len(got), err)
	}
	server, _ = script(t, respond(202, http.Header{"Content-Location": {"/job"}}, body))
	job, err := clientAt(t, server.URL).KickOff(t.Context(), bulk.Request{Level: bulk.System})
	if n := len(job.Issues); err != nil || n != 1_001 || job.Issues[n-1].Code != "too-many-issues" || !job.Issues[n-1].Failed() {
		t.Errorf("got %d issues, %v", n, err)
	}
}
