package bulk_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
)

func TestNewChecksItsOptions(t *testing.T) {
	t.Parallel()
	for _, base := range []string{
		"", "h.example/fhir", "/fhir", "ftp://h.example", "https://", "https:h.example", "https://h.example/%zz",
		"https://h.example/fhir?key=" + secret, "https://me:" + secret + "@h.example/fhir", "https://h.example/fhir#" + secret,
	} {
		if _, err := bulk.New(bulk.Options{Base: base, HTTP: http.DefaultClient}); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("base %q: %v", base, err)
		}
	}
	if _, err := bulk.New(bulk.Options{Base: "https://h.example"}); err == nil {
		t.Error("no HTTP client is needed")
	}
	for _, base := range []string{"https://h.example", "http://h.example:8080/fhir/", "HTTPS://h.example/a/b"} {
		if _, err := bulk.New(bulk.Options{Base: base, HTTP: http.DefaultClient}); err != nil {
			t.Errorf("base %q: %v", base, err)
		}
	}
}

func TestBaseMayEndInASlash(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{NoAuth: true})
	if _, err := clientAt(t, server.FHIR()+"//").KickOff(t.Context(), bulk.Request{Level: bulk.System}); err != nil {
		t.Fatal(err)
	}
	if got := requestsOf(server, bulktest.KickOffEndpoint)[0].Path; got != "/fhir/$export" {
		t.Errorf("got the path %s", got)
	}
}

// A whole export, as in the package comment.
func TestExport(t *testing.T) {
	t.Parallel()
	patients := `{"resourceType":"Patient","id":"1"}` + "\n" + `{"resourceType":"Patient","id":"2"}` + "\n"
	server := newServer(t, bulktest.Options{Polls: 1,
		Errors: bulktest.Files{bulktest.Lines("OperationOutcome", `{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"informational","diagnostics":"d"}]}`)}})
	c := newClient(t, server)
	job, m := export(t, c)
	got, stats, err := read(t.Context(), c, m, m.Output[0])
	if err != nil || got != patients {
		t.Errorf("got %q, %v", got, err)
	}
	if want := (bulk.StreamStats{Bytes: int64(len(patients)), XXH128: xxh128(patients), Attempts: 1}); stats != want {
		t.Errorf("got %+v, want %+v", stats, want)
	}
	var issues []bulk.Issue
	if err := c.Issues(t.Context(), m, m.Errors[0], func(i bulk.Issue) { issues = append(issues, i) }, nil); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]bulk.Issue{{Severity: "warning", Code: "informational", Diagnostics: "d"}}, issues); diff != "" {
		t.Errorf("other issues (-want +got):\n%s", diff)
	}
	if err := c.Delete(t.Context(), job); err != nil {
		t.Error(err)
	}
	var endpoints []string
	for _, r := range server.Requests() {
		endpoints = append(endpoints, string(r.Endpoint))
	}
	if want := "token kick-off status status file file delete"; strings.Join(endpoints, " ") != want {
		t.Errorf("got the requests %v, want %s", endpoints, want)
	}
	for _, r := range requestsOf(server, bulktest.FileEndpoint) {
		if r.Header.Get("Accept") != "application/fhir+ndjson" || r.Header.Get("Accept-Encoding") != "gzip" || r.Header.Get("Authorization") == "" {
			t.Errorf("a file was asked for with the header %v", r.Header)
		}
	}
}
