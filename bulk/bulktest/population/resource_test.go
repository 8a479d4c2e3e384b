package population_test

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"fhirkiln/bulk/bulktest/population"
)

// types are the resource types that a world must have.
var types = []string{
	"Patient", "Coverage", "Claim", "ExplanationOfBenefit", "Encounter", "Condition", "Observation",
	"DiagnosticReport", "MedicationRequest", "Procedure", "Immunization", "AllergyIntolerance",
	"DocumentReference", "Provenance", "Practitioner", "PractitionerRole", "Organization", "Location", "Group",
}

// scan strictly parses a resource, and visits every string and number with the path of its names.
func scan(line []byte, visit func(path, text string)) error {
	d := jsontext.NewDecoder(bytes.NewReader(line))
	for {
		token, err := d.ReadToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if k := token.Kind(); k == '"' || k == '0' {
			if n, _ := d.StackIndex(d.StackDepth()); n == '{' {
				if _, length := d.StackIndex(d.StackDepth()); length%2 == 1 {
					continue // a name
				}
			}
			visit(string(d.StackPointer()), token.String())
		}
	}
}

var relative = regexp.MustCompile(`^[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}$`)

// Every line is strict JSON of its file's type, the counts are right, ids are unique, and every
// reference resolves.
func TestWorldIsWhole(t *testing.T) {
	t.Parallel()
	w := population.New(population.Options{Seed: 11, Patients: 70, PatientsPerFile: 30})
	ids := map[string]bool{}
	refs := map[string]string{} // reference to a place that has it
	var have []string
	for _, f := range w.Files() {
		have = append(have, f.Type)
		got := lines(t, read(t, f))
		if len(got) != f.Count || f.Count == 0 {
			t.Errorf("%s: %d lines, but Count is %d", f.Type, len(got), f.Count)
		}
		for i, line := range got {
			at := fmt.Sprintf("%s line %d", f.Type, i+1)
			var typ, id string
			err := scan(line, func(path, text string) {
				switch {
				case path == "/resourceType":
					typ = text
				case path == "/id":
					id = text
				case strings.HasSuffix(path, "/reference") && relative.MatchString(text):
					refs[text] = at
				case strings.HasSuffix(path, "/reference") && text != "#med" && !strings.HasPrefix(text, "https://"):
					t.Errorf("%s: %s is %q", at, path, text)
				}
			})
			if err != nil {
				t.Fatalf("%s: %v\n%s", at, err, line)
			}
			if typ != f.Type {
				t.Errorf("%s: resourceType is %q", at, typ)
			}
			if !relative.MatchString(typ+"/"+id) || ids[typ+"/"+id] {
				t.Errorf("%s: id %q is malformed or was there before", at, id)
			}
			ids[typ+"/"+id] = true
		}
	}
	for ref, at := range refs {
		if !ids[ref] {
			t.Errorf("%s: there is no %s", at, ref)
		}
	}
	if have = slices.Compact(have); !slices.Equal(have, types) {
		t.Errorf("the types are %v, want %v", have, types)
	}
}

func mustScan(t *testing.T, line []byte, visit func(path, text string)) {
	t.Helper()
	if err := scan(line, visit); err != nil {
		t.Fatalf("%v\n%s", err, line)
	}
}

// The oddities of real exports that a converter has to cope with.
func TestOddities(t *testing.T) {
	t.Parallel()
	const patients = 500
	w := population.New(population.Options{Seed: 13, Patients: patients})
	text := map[string][]byte{}
	for _, tt := range []struct{ what, typ, pattern string }{
		{"trailing zeros", "Observation", `"valueQuantity":\{"value":\d+\.\d*0,`},
		{"HbA1c", "Observation", `"code":"4548-4"[^\n]*"value":\d\.\d\d,`},
		{"components", "Observation", `"component":\[\{"code"`},
		{"a concept as value", "Observation", `"valueCodeableConcept"`},
		{"a string as value", "Observation", `"valueString"`},
		{"an integer as value", "Observation", `"valueInteger":\d`},
		{"no value", "Observation", `"dataAbsentReason"`},
		{"a modifier extension", "Observation", `"modifierExtension"`},
		{"a zone", "Observation", `"effectiveDateTime":"[0-9T:-]+-0\d:00"`},
		{"UTC as offset", "Observation", `"effectiveDateTime":"[0-9T:-]+\+00:00"`},
		{"milliseconds", "Observation", `"issued":"[0-9T:-]+\.\d{3}`},
		{"a day alone", "Observation", `"effectiveDateTime":"\d{4}-\d\d-\d\d"`},
		{"a year alone", "Condition", `"onsetDateTime":"\d{4}"`},
		{"a month alone", "Condition", `"onsetDateTime":"\d{4}-\d\d"`},
		{"an age", "Condition", `"onsetAge"`},
		{"a newline", "Condition", `says:\\n\\t\\"comes`},
		{"XHTML", "Condition", `&lt; 3 &amp; stable`},
		{"no meta", "Condition", `"resourceType":"Condition","id":"[^"]*","clinicalStatus"`},
		{"a second version", "Encounter", `"versionId":"[2-4]"`},
		{"another payer", "Encounter", `"source":"https://[a-z.0-9]+\.example`},
		{"null beside an extension", "Patient", `"given":\["[^"]+",null\],"_given":\[null,\{"extension"`},
		{"an extension without a value", "Patient", `"_family":\{"extension"`},
		{"a time of birth", "Patient", `"_birthDate":\{"extension"`},
		{"race", "Patient", `us-core-race","extension":\[\{"url":"ombCategory","valueCoding"`},
		{"birth sex", "Patient", `us-core-birthsex","valueCode":"[FM]"`},
		{"an id of an element", "Patient", `"id":"legal-name"`},
		{"UTF-8", "Patient", "\u00fa\u00f1ez|\u0160edov\u00e1|\u738b"},
		{"escapes", "Patient", `\\u[0-9a-f]{4}`},
		{"quotes", "Patient", `\\"Ace\\"|\\"Doc\\"|\\"Red\\"`},
		{"the dead", "Patient", `"deceased(DateTime|Boolean)"`},
		{"ended cover", "Coverage", `"status":"cancelled"`},
		{"contained", "MedicationRequest", `"contained":\[\{"resourceType":"Medication"`},
		{"base64", "DocumentReference", `"data":"[A-Za-z0-9+/]{1000,}={0,2}"`},
		{"inpatient", "ExplanationOfBenefit", `Inpatient-Institutional\|`},
		{"outpatient", "ExplanationOfBenefit", `Outpatient-Institutional\|`},
		{"professional", "ExplanationOfBenefit", `Professional-NonClinician\|`},
		{"oral", "ExplanationOfBenefit", `Oral\|`},
		{"pharmacy", "ExplanationOfBenefit", `Pharmacy\|`},
		{"vision", "ExplanationOfBenefit", `"code":"vision"`},
		{"professional without amounts", "ExplanationOfBenefit", `Professional-NonClinician-Basis\|`},
		{"pharmacy without amounts", "ExplanationOfBenefit", `Pharmacy-Basis\|`},
		{"oral without amounts", "ExplanationOfBenefit", `Oral-Basis\|`},
		{"a prior authorization", "ExplanationOfBenefit", `pdex-priorauthorization"[^\n]*"preAuthRef":\["AUTH[^\n]*"extension-reviewAction|pdex-priorauthorization"[^\n]*"preAuthRef":\["AUTH`},
		{"its review", "ExplanationOfBenefit", `extension-reviewActionCode","valueCodeableConcept":\{"coding":\[\{"system":"https://codesystem.x12.org/005010/306","code":"A1"`},
		{"a bill that was authorized", "Claim", `"preAuthRef":\["AUTH`},
		{"a denied line", "ExplanationOfBenefit", `"code":"denialreason"`},
		{"where it was received from", "Provenance", `"entity":\[\{"extension"`},
	} {
		if text[tt.typ] == nil {
			text[tt.typ] = open(t, w, tt.typ, 0, patients)
		}
		if !regexp.MustCompile(tt.pattern).Match(text[tt.typ]) {
			t.Errorf("%s: no %s", tt.typ, tt.what)
		}
	}
}

// The size stated in the package's comment.
func TestAverageSize(t *testing.T) {
	t.Parallel()
	const patients = 400
	total := 0
	for _, f := range population.New(population.Options{Seed: 14, Patients: patients}).Files() {
		total += len(read(t, f))
	}
	if average := total / patients; average < 100_000 || average > 135_000 {
		t.Errorf("a patient has %d bytes on average", average)
	}
}
