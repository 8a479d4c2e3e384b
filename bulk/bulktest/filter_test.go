package bulktest_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
)

// people returns data of three patients, two of them in the group g.
func people() bulktest.Data {
	return bulktest.Files{
		bulktest.Lines("Group",
			`{"resourceType":"Group","id":"other","member":[{"entity":{"reference":"Patient/c"}}]}`,
			`{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/a"}},`+
				`{"entity":{"reference":"https://payer.example/fhir/Patient/b"},"inactive":true},{"entity":{"reference":"Group/x"}},{}]}`),
		bulktest.Lines("Patient",
			`{"resourceType":"Patient","id":"a","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"birthDate":"1950-05","name":[{"family":"A"}]}`,
			`{"resourceType":"Patient","id":"b","meta":{"lastUpdated":"2026-02-01T00:00:00.5+01:00"}}`,
			`{"resourceType":"Patient","id":"c"}`),
		bulktest.Lines("Observation",
			`{"resourceType":"Observation","id":"oa","status":"final","subject":{"reference":"Patient/a/_history/2"},`+
				`"code":{"coding":[{"system":"http://loinc.org","code":"1-8"},{"code":"x"}]},"effectiveDateTime":"2025-06-30"}`,
			`{"resourceType":"Observation","id":"ob","status":"amended","subject":{"reference":"urn:uuid:b"},`+
				`"code":{"coding":[{"system":"urn:x","code":"1-8"}]},"effectivePeriod":{"start":"2025-07-01T00:00:00Z"}}`,
			`{"resourceType":"Observation","id":"oc","status":"final","subject":{"reference":"Patient/c"},"performer":[{"reference":"Practitioner/a"}]}`,
			`{"resourceType":"Observation","id":"op","status":"final","subject":{"reference":"Location/a"},"performer":[{"reference":"Practitioner/a"},{"reference":"Patient/b"}]}`),
		bulktest.Lines("Provenance",
			`{"resourceType":"Provenance","id":"pb","target":[{"reference":"Observation/ob"},{"reference":"Patient/b"}]}`,
			`{"resourceType":"Provenance","id":"pc","target":[{"reference":"Patient/c"}]}`),
		bulktest.Lines("ExplanationOfBenefit",
			`{"resourceType":"ExplanationOfBenefit","id":"ea","status":"active","patient":{"reference":"Patient/a"},"billablePeriod":{"start":"2025-01-10","end":"2025-02-10"}}`,
			`{"resourceType":"ExplanationOfBenefit","id":"ec","status":"active","patient":{"reference":"Patient/c"},"billablePeriod":{"start":"2025-03-10","end":"2025-03-11"}}`),
		bulktest.Lines("Practitioner", `{"resourceType":"Practitioner","id":"d"}`),
		bulktest.Lines("ValueSet", `{"resourceType":"ValueSet","id":"v"}`),
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: people()})
	const everything = "other g a b c oa ob oc op pb pc ea ec d v"
	typeFilter := func(searches ...string) string {
		return "/$export?_type=Patient,Observation,ExplanationOfBenefit&" + url.Values{"_typeFilter": searches}.Encode()
	}
	for _, test := range []struct{ path, want string }{
		{"/$export", everything},
		{"/$export?_outputFormat=ndjson", everything},
		{"/$export?_outputFormat=application/ndjson", everything},
		{"/$export?_outputFormat=application/fhir%2Bndjson", everything},
		{"/$export?_type=Patient,ValueSet", "a b c v"},
		{"/$export?_type=ValueSet&_type=Patient", "a b c v"},
		{"/$export?_type=Medication", ""},

		// Levels.
		{"/Patient/$export", "a b c oa ob oc op pb pc ea ec d"},
		{"/Patient/$export?_type=Patient,ValueSet", "a b c"},
		{"/Group/g/$export", "a b oa ob op pb ea d"},
		{"/Group/other/$export?_type=Patient,Observation", "c oc"},

		// Resources without lastUpdated pass; both bounds are excluded.
		{"/$export?_type=Patient&_since=2025-12-31T23:59:59Z", "a b c"},
		{"/$export?_type=Patient&_since=2026-01-01T00:00:00Z", "b c"},
		{"/$export?_type=Patient&_since=2026-01-01", "b c"},
		{"/$export?_type=Patient&_since=2026-01-31T23:00:00.4Z", "b c"},
		{"/$export?_type=Patient&_since=2026-01-31T23:00:00.5Z", "c"},
		{"/$export?_type=Patient&_until=2026-01-01T00:00:00Z", "c"},
		{"/$export?_type=Patient&_until=2026-01-01T00:00:01Z", "a c"},
		{"/$export?_type=Patient&_since=2026-01-01T00:00:00Z&_until=2026-02-01T00:00:00Z", "b c"},
		{"/Group/g/$export?_type=Patient&_since=2026-01-15T00:00:00Z", "b"},

		// Searches: commas separate values or searches, & means "and", repetition means "or".
		{typeFilter("Observation?status=final"), "a b c oa oc op ea ec"},
		{typeFilter("Observation?status=amended,final"), "a b c oa ob oc op ea ec"},
		{typeFilter("Observation?status=amended,Patient?_id=a"), "a ob ea ec"},
		{typeFilter("Observation?status=amended", "Observation?_id=oc", "Patient?_id=b,c"), "b c ob oc ea ec"},
		{typeFilter("Observation?status=final&patient=a"), "a b c oa ea ec"},
		{typeFilter("Observation?subject=Patient/b,Patient/c"), "a b c ob oc ea ec"},
		{typeFilter("Observation?code=1-8"), "a b c oa ob ea ec"},
		{typeFilter("Observation?code=http://loinc.org|1-8"), "a b c oa ea ec"},
		{typeFilter("Observation?code=urn:x|"), "a b c ob ea ec"},
		{typeFilter("Observation?code=|x"), "a b c oa ea ec"},
		{typeFilter("Observation?code=y"), "a b c ea ec"},
		{typeFilter("Patient?_lastUpdated=ge2026-01-31"), "b oa ob oc op ea ec"},
		{typeFilter("Patient?birthdate=1950"), "a oa ob oc op ea ec"},
		{typeFilter("Patient?birthdate=1950-05-01"), "oa ob oc op ea ec"},
		{typeFilter("Observation?date=ge2025-06-30"), "a b c oa ob ea ec"},
		{typeFilter("Observation?date=gt2025-06-30"), "a b c ob ea ec"},
		{typeFilter("Observation?date=le2025-06-30"), "a b c oa ea ec"},
		{typeFilter("Observation?date=lt2025-06-30"), "a b c ea ec"},
		{typeFilter("ExplanationOfBenefit?service-date=ge2025-02-10"), "a b c oa ob oc op ea ec"},
		{typeFilter("ExplanationOfBenefit?service-date=ge2025-02-11"), "a b c oa ob oc op ec"},
		{typeFilter("ExplanationOfBenefit?service-date=ge2025-01-01&service-date=le2025-01-31"), "a b c oa ob oc op ea"},
		{typeFilter("ExplanationOfBenefit?service-date=2025-03"), "a b c oa ob oc op ec"},
	} {
		t.Run(test.path, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(strings.Fields(test.want), c.ids(c.export(test.path, ""))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// ids returns the ids of all resources of an export. It checks the manifest's counts.
func (c *client) ids(m manifest) []string {
	ids := []string{}
	for _, f := range m.Output {
		lines := strings.SplitAfter(string(c.get(f.URL).body), "\n")
		lines = lines[:len(lines)-1]
		if len(lines) != f.Count || f.Count == 0 {
			c.t.Errorf("%s: %d lines, the manifest says %d", f.Type, len(lines), f.Count)
		}
		for _, line := range lines {
			var r struct{ ResourceType, ID string }
			if err := json.Unmarshal([]byte(line), &r); err != nil || r.ResourceType != f.Type {
				c.t.Errorf("%s: %q: %v", f.Type, line, err)
			}
			ids = append(ids, r.ID)
		}
	}
	return ids
}

func TestPostedParameters(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: people()})
	const (
		patientA = `{"name":"patient","valueReference":{"reference":"Patient/a"}}`
		patientC = `{"name":"patient","valueReference":{"reference":"Patient/c"}}`
	)
	for _, test := range []struct{ path, parameters, want string }{
		{"/$export", ``, "other g a b c oa ob oc op pb pc ea ec d v"},
		{"/$export", `{"name":"_type","valueString":"Patient,ValueSet"}`, "a b c v"},
		{"/$export", `{"name":"_type","valueCode":"Patient"},{"name":"_type","valueCode":"ValueSet"}`, "a b c v"},
		{"/$export", `{"name":"_type","valueCode":"Patient"},{"name":"_since","valueInstant":"2026-01-15T00:00:00+00:00"}`, "b c"},
		{"/$export", `{"name":"_type","valueCode":"Observation"},{"name":"_typeFilter","valueString":"Observation?status=amended"}`, "ob"},
		{"/Patient/$export", patientA + "," + patientC, "a c oa oc pc ea ec d"},
		{"/Group/g/$export", patientA, "a oa ea d"},
	} {
		m := c.export(test.path, `{"resourceType":"Parameters","parameter":[`+test.parameters+`]}`)
		if diff := cmp.Diff(strings.Fields(test.want), c.ids(m)); diff != "" {
			t.Errorf("%s %s: %s", test.path, test.parameters, diff)
		}
	}
}

func TestElements(t *testing.T) {
	t.Parallel()
	const tag = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`
	c := start(t, bulktest.Options{Data: bulktest.Files{
		bulktest.Lines("Observation",
			`{"resourceType":"Observation","id":"1","meta":{"tag":[{"code":"x"}],"versionId":"1"},"status":"final","statusReason":"r",`+
				`"code":{"text":"c"},"valueQuantity":{"value":1.50},"_valueString":{"id":"y"},"valueless":1}`,
			` { "id" : "2" , "note" : [ ] }`),
		bulktest.Lines("Patient", `{"resourceType":"Patient","id":"p", "name":[]}`),
	}})
	for _, test := range []struct {
		elements string
		want     []string
	}{
		{"id", []string{
			`{"resourceType":"Observation","id":"1","meta":{"versionId":"1","tag":[{"code":"x"},` + tag + `]},"status":"final","code":{"text":"c"}}`,
			`{"id":"2","meta":{"tag":[` + tag + `]}}`,
			`{"resourceType":"Patient","id":"p","meta":{"tag":[` + tag + `]}}`,
		}},
		{"Observation.value,Observation.note", []string{
			`{"resourceType":"Observation","id":"1","meta":{"versionId":"1","tag":[{"code":"x"},` + tag + `]},"status":"final","code":{"text":"c"},` +
				`"valueQuantity":{"value":1.50},"_valueString":{"id":"y"}}`,
			`{"id":"2","note":[ ],"meta":{"tag":[` + tag + `]}}`,
			`{"resourceType":"Patient","id":"p", "name":[]}`, // no elements named: whole and unchanged
		}},
	} {
		m := c.export("/$export?_elements="+test.elements, "")
		var got []string
		for _, f := range m.Output {
			got = append(got, strings.Split(strings.TrimSuffix(string(c.get(f.URL).body), "\n"), "\n")...)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.elements, diff)
		}
	}
}

// TestKeptLinesAreVerbatim checks that a filter does not change the lines that it keeps, however
// long and odd.
func TestKeptLinesAreVerbatim(t *testing.T) {
	t.Parallel()
	long := fmt.Sprintf(`{"resourceType":"DocumentReference","subject":{"reference":"Patient/a"},"content":%q}`, strings.Repeat("x", 3<<20))
	odd := "\t{ \"subject\" : [ { \"reference\":\"Patient\\/a\" } ], \"subject\":1, \"n\":1.00, \"s\":\"\\u00e9\xff\" }\r"
	other := `{"subject":{"reference":"Patient/b"}}`
	c := start(t, bulktest.Options{Data: bulktest.Files{
		bulktest.Lines("Group", `{"id":"g","member":[{"entity":{"reference":"Patient/a"}}]}`),
		bulktest.Lines("DocumentReference", other, long, "", odd, other),
	}})
	m := c.export("/Group/g/$export", "")
	if len(m.Output) != 1 || m.Output[0].Count != 2 {
		t.Fatalf("output %+v", m.Output)
	}
	if got := string(c.get(m.Output[0].URL).body); got != long+"\n"+odd+"\n" {
		t.Errorf("%d bytes, want %d; the end: %q", len(got), len(long)+len(odd)+2, got[max(0, len(got)-100):])
	}
}

// The server's records take precedence over the resources' own times.
func TestChanged(t *testing.T) {
	t.Parallel()
	changed := func(line []byte) time.Time {
		day, err := time.Parse(time.DateOnly, string(line[strings.Index(string(line), "2026"):][:10]))
		if err != nil {
			return time.Time{}
		}
		return day
	}
	known := bulktest.Lines("Patient", `{"resourceType":"Patient","id":"1","x":"2026-01-01"}`,
		`{"resourceType":"Patient","id":"2","x":"2026-02-01","meta":{"lastUpdated":"2020-01-01T00:00:00Z"}}`,
		`{"resourceType":"Patient","id":"3","x":"2026-not-known"}`)
	gone := bulktest.Lines("Bundle", `{"resourceType":"Bundle","id":"4","x":"2026-01-01"}`, `{"resourceType":"Bundle","id":"5","x":"2026-02-01"}`)
	known.Changed, gone.Changed = changed, changed
	c := start(t, bulktest.Options{Data: bulktest.Files{known}, Deleted: bulktest.Files{gone}})
	for query, want := range map[string]string{
		"":                             "1 2 3",
		"?_since=2026-01-15T00:00:00Z": "2 3 5",
		"?_since=2026-01-01T00:00:00Z": "2 3 5",
		"?_since=2025-01-01T00:00:00Z&_until=2026-02-01T00:00:00Z": "1 3 4",
	} {
		m := c.export("/$export"+query, "")
		var got []string
		for _, f := range slices.Concat(m.Output, m.Deleted) {
			for line := range strings.Lines(string(c.get(f.URL).body)) {
				_, after, _ := strings.Cut(line, `"id":"`)
				got = append(got, after[:1])
			}
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}
