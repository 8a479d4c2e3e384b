package bulk_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/transport"
)

// Some servers put patient data where codes, types and times belong, which are counted, logged
// and reported.
func TestManifestNamesNobody(t *testing.T) {
	t.Parallel()
	server, _ := script(t, respond(200, nil, `{"transactionTime":"Mary Smith 1950-05-07","requiresAccessToken":false,"output":[
		{"type":"Mary Smith","url":"/1"},{"type":"NutritionProduct","url":"/2"},{"type":"mary-smith","url":"/3"},{"type":"Patient 1950-05-07","url":"/4"},{"type":"Patient","url":"/5"}]}`))
	m, err := clientAt(t, server.URL).Wait(t.Context(), bulk.Job{StatusURL: server.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{m.TransactionTimeText}
	for _, f := range m.Output {
		got = append(got, f.Type)
	}
	if diff := cmp.Diff([]string{"…", "…", "NutritionProduct", "…", "Patient …", "Patient"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestIssuesNameNobody(t *testing.T) {
	t.Parallel()
	server, _ := script(t, file([]byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"mary","code":"mary-smith"},{"severity":"warning","code":"code-invalid"}]}`), nil))
	got, err := issuesOf(t, clientAt(t, server.URL), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bulk.Issue{{Severity: "other", Code: "other"}, {Severity: "warning", Code: "code-invalid"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The codes of R4 and R5 are kept.
func TestIssueCodesAreKnown(t *testing.T) {
	t.Parallel()
	for code := range strings.FieldsSeq(`fatal error warning information success invalid structure required value invariant security login unknown
		expired forbidden suppressed processing not-supported duplicate multiple-matches not-found deleted too-long code-invalid extension too-costly
		business-rule conflict limited-filter transient lock-error no-store exception timeout incomplete throttled informational`) {
		if got := transport.Words(code); got != code {
			t.Errorf("%s is shown as %s", code, got)
		}
	}
}

// With a credential that allows only GET, nothing else is sent to any host.
func TestACredentialForGETSendsNothingElseElsewhere(t *testing.T) {
	t.Parallel()
	server, own := script(t, respond(200, nil, ""))
	other, requests := script(t, respond(200, nil, ""))
	c := clientAt(t, server.URL, func(o *bulk.Options) {
		o.Credentials = auth.NewCache(auth.OneUpHeaders{ClientID: "id", ClientSecret: secret, OneUpUserID: auth.AllUsers})
	})
	err := c.Delete(t.Context(), bulk.Job{StatusURL: other.URL + "/job"})
	wantError(t, err, transport.Refused, "allow only GET")
	_, err = c.KickOff(t.Context(), bulk.Request{Level: bulk.System, Post: true})
	wantError(t, err, transport.Refused, "allow only GET")
	if requests.Load() != 0 || own.Load() != 0 {
		t.Error("a DELETE or POST was sent")
	}
}

// A refusal may repeat the request and name a patient anywhere in it.
func TestRefusalsNameNobody(t *testing.T) {
	t.Parallel()
	const names = "Mary Smith-Jones, 1950-05-07, 1S00A00AA00"
	for _, issue := range []string{
		`{"severity":"error","code":"invalid","diagnostics":%q}`,
		`{"severity":"error","code":"invalid","details":{"text":%q}}`,
		`{"severity":"error","code":"invalid","details":{"coding":[{"display":%q}]}}`,
		`{"severity":%q,"code":"invalid"}`,
		`{"severity":"error","code":%q}`,
	} {
		body := `{"resourceType":"OperationOutcome","issue":[` + fmt.Sprintf(issue, "no such patient: "+names) + `]}`
		for _, status := range []int{200, 400, 403, 404, 410, 500} {
			server, _ := script(t, respond(status, http.Header{"Content-Type": {"application/fhir+json"}}, body))
			c := clientAt(t, server.URL, func(o *bulk.Options) { o.Poll.Outage = 1 })
			_, kickOff := c.KickOff(t.Context(), bulk.Request{Level: bulk.Patient})
			_, wait := c.Wait(t.Context(), bulk.Job{StatusURL: server.URL}, nil)
			_, _, open := readURL(t, c, server.URL)
			for doing, err := range map[string]error{"kick-off": kickOff, "status": wait, "file": open} {
				if err == nil {
					t.Errorf("%s with %d: no error", doing, status)
					continue
				}
				for _, name := range []string{"Mary", "Smith", "Jones", "1950", "1S00"} {
					if strings.Contains(err.Error(), name) {
						t.Errorf("%s with %d tells %s: %v", doing, status, name, err)
					}
				}
			}
		}
	}
}
