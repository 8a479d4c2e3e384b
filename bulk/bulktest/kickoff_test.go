package bulktest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
)

func TestKickOffRefuses(t *testing.T) {
	t.Parallel()
	data := bulktest.Files{
		bulktest.Lines("Group", `{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/1"}}]}`),
	}
	c := start(t, bulktest.Options{Data: data})
	posted := func(parameters ...string) string {
		return `{"resourceType":"Parameters","parameter":[` + strings.Join(parameters, ",") + `]}`
	}
	for _, test := range []struct {
		name, path, body string
		status           int
		says             string
	}{
		{"unknown parameter", "/$export?_typ=Patient", "", 400, "_typ"},
		{"not supported", "/$export?includeAssociatedData=LatestProvenanceResources", "", 400, "includeAssociatedData"},
		{"unknown type", "/$export?_type=Patient,Pateint", "", 400, "Pateint"},
		{"empty type", "/$export?_type=", "", 400, "_type"},
		{"type outside of the level", "/Patient/$export?_type=ValueSet", "", 400, "level"},
		{"format", "/$export?_outputFormat=text/csv", "", 400, "text/csv"},
		{"bad since", "/$export?_since=yesterday", "", 400, "yesterday"},
		{"since without zone", "/$export?_since=2020-01-01T00:00:00", "", 400, "_since"},
		{"since with a plus", "/$export?_since=2020-01-01T00:00:00+01:00", "", 400, "_since"},
		{"bad until", "/$export?_until=2020-13-01", "", 400, "_until"},
		{"since twice", "/$export?_since=2020-01-01&_since=2020-01-01", "", 400, "more than once"},
		{"nested element", "/$export?_elements=Patient.name.family", "", 400, "name.family"},
		{"element of no type", "/$export?_elements=name.family", "", 400, "name.family"},
		{"filter of no type", "/$export?_typeFilter=status%3Dactive", "", 400, "_typeFilter"},
		{"second filter of no type", "/$export?_typeFilter=Patient%3F_id%3D1,Pateint%3F_id%3D2", "", 400, "Pateint"},
		{"filter by more", "/$export?_typeFilter=Patient%3Fname%3Dx", "", 400, "name"},
		{"filter with a bad date", "/$export?_typeFilter=Patient%3Fbirthdate%3Dgeold", "", 400, "old"},
		{"filter with a prefix", "/$export?_typeFilter=Patient%3Fbirthdate%3Dap2000", "", 400, "ap"},
		{"filter without patient", "/$export?_typeFilter=Location%3Fpatient%3D1", "", 400, "Location"},
		{"malformed query", "/$export?_type=%zz", "", 400, "malformed"},
		{"patient by GET", "/Patient/$export?patient=Patient/1", "", 400, "POST"},
		{"patient at system level", "/$export", posted(`{"name":"patient","valueReference":{"reference":"Patient/1"}}`), 400, "system"},
		{"no patient", "/Patient/$export", posted(`{"name":"patient","valueReference":{"reference":"Group/1"}}`), 400, "Group/1"},
		{"no member", "/Group/g/$export", posted(`{"name":"patient","valueReference":{"reference":"Patient/2"}}`), 400, "Patient/2"},
		{"no group", "/Group/x/$export", "", 404, "Group/x"},
		{"no JSON", "/$export", "{", 400, "Parameters"},
		{"other resource", "/$export", `{"resourceType":"Patient"}`, 400, "Parameters"},
		{"no name", "/$export", posted(`{"valueString":"Patient"}`), 400, "no name"},
		{"no value", "/$export", posted(`{"name":"_type"}`), 400, "_type"},
		{"part", "/$export", posted(`{"name":"_type","valueCoding":{"code":"Patient"}}`), 400, "_type"},
		{"parameters in the URL", "/$export?_type=Patient", posted(), 400, "URL"},
		{"unknown path", "/Practitioner/$export", "", 404, ""},
	} {
		a := c.tryKickOff(test.path, test.body)
		a.want(t, test.status)
		if said := a.outcome(t); !strings.Contains(said, test.says) {
			t.Errorf("%s: %q does not say %q", test.name, said, test.says)
		}
	}
}

func TestKickOffHeaders(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients()})
	token := "Bearer " + c.token
	const async = "respond-async"
	for _, test := range []struct {
		accept, prefer string
		status         int
	}{
		{"application/fhir+json", async, 202},
		{"text/html, application/fhir+json;fhirVersion=4.0;q=0.5", "handling=strict, Respond-Async; wait=10", 202},
		{"*/*", async, 202},
		{"application/*", async, 202},
		{"", async, 400},
		{"application/json", async, 400},
		{"application/fhir+json; q=0", async, 400},
		{"application/fhir+json", "", 400},
		{"application/fhir+json", "handling=lenient", 400},
	} {
		a := c.request("GET", c.server.FHIR()+"/$export", "", "Authorization", token, "Accept", test.accept, "Prefer", test.prefer)
		if a.status != test.status {
			t.Errorf("Accept %q, Prefer %q: %d, want %d", test.accept, test.prefer, a.status, test.status)
		}
	}

	a := c.request("PUT", c.server.FHIR()+"/$export", "", "Authorization", token)
	a.want(t, 405)
	if got := a.header.Get("Allow"); got != "GET, POST" {
		t.Errorf("Allow: %s", got)
	}
	a = c.request("POST", c.server.FHIR()+"/$export", "_type=Patient", "Authorization", token, "Content-Type", form,
		"Accept", "*/*", "Prefer", async)
	a.want(t, 415)
	a = c.request("POST", c.server.FHIR()+"/$export", strings.Repeat(" ", 9<<20), "Content-Type", "application/fhir+json")
	a.want(t, 413)
}

func TestLenient(t *testing.T) {
	t.Parallel()
	data := bulktest.Files{
		bulktest.Lines("Patient", `{"resourceType":"Patient","id":"1"}`),
		bulktest.Lines("Location", `{"resourceType":"Location","id":"l"}`),
	}
	c := start(t, bulktest.Options{Data: data})
	const path = "/$export?_type=Patient,Pateint&exportType=x&_typeFilter=Patient%3Fname%3Dx&_elements=Patient.name.family"
	c.tryKickOff(path, "").want(t, 400)

	m := c.export(path, "", "Prefer", "handling=lenient")
	if len(m.Output) != 1 || m.Output[0].Type != "Patient" || len(m.Error) != 1 || m.Error[0].Count != 4 {
		t.Fatalf("manifest %+v", m)
	}
	ignored := string(c.get(m.Error[0].URL).body)
	for _, want := range []string{"Pateint", "exportType", "name", "Patient.name.family", `"severity":"warning"`} {
		if !strings.Contains(ignored, want) {
			t.Errorf("%s is not in\n%s", want, ignored)
		}
	}
	// Values that cannot be parsed are refused all the same.
	c.tryKickOff("/$export?_since=x", "", "Prefer", "handling=lenient").want(t, 400)
	// A list of types with none left does not mean all types.
	if m := c.export("/$export?_type=Pateint", "", "Prefer", "handling=lenient"); len(m.Output) != 0 {
		t.Errorf("output %+v", m.Output)
	}
}

// TestRequests also shows what the server records of a request.
func TestRequests(t *testing.T) {
	t.Parallel()
	clock := newClock()
	c := start(t, bulktest.Options{Data: twoPatients(), Now: clock.Now})
	const parameters = `{"resourceType":"Parameters","parameter":[{"name":"_type","valueCode":"Patient"}]}`
	status := c.kickOff("/Patient/$export", parameters)
	c.kickOff("/$export?_type=Patient", "")
	c.get(c.manifest(status).Output[0].URL)
	c.request("DELETE", status, "", "Authorization", "Bearer "+c.token).want(t, 202)
	c.get(c.server.URL()+"/nowhere").want(t, 404)

	var got []string
	for _, r := range c.server.Requests() {
		got = append(got, string(r.Endpoint)+" "+r.Method+" "+http.StatusText(r.Status))
		if !r.Time.Equal(clock.Now()) {
			t.Errorf("%s at %v", r.Endpoint, r.Time)
		}
	}
	want := []string{"token POST OK", "kick-off POST Accepted", "kick-off GET Accepted", "status GET OK", "file GET OK",
		"delete DELETE Accepted", " GET Not Found"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	post, get := c.server.Requests()[1], c.server.Requests()[2]
	if string(post.Body) != parameters || post.Path != "/fhir/Patient/$export" || post.Header.Get("Prefer") != "respond-async" {
		t.Errorf("%+v", post)
	}
	if get.Query.Get("_type") != "Patient" || get.RequestURI != "/fhir/$export?_type=Patient" || len(get.Body) != 0 {
		t.Errorf("%+v", get)
	}
}
