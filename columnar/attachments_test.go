package columnar_test

import (
	"strings"
	"testing"

	"fhirkiln/columnar"
)

func TestAttachments(t *testing.T) {
	t.Parallel()
	const there = `{"contentType":"text/plain","url":"https://bulk.example/files/1"}`
	for _, tt := range []struct {
		name, resource string
		want           int64
	}{
		{"a column", `{"resourceType":"DocumentReference","content":[{"attachment":` + there + `}]}`, 1},
		{"twice in a row", `{"resourceType":"DocumentReference","content":[{"attachment":` + there + `},{"attachment":` + there + `}]}`, 1},
		{"the second of a list", `{"resourceType":"Patient","photo":[{},{"url":"https://bulk.example/1"}]}`, 1},
		{"a choice", `{"resourceType":"Consent","sourceAttachment":` + there + `}`, 1},
		{"the origin alone", `{"resourceType":"Patient","photo":[{"url":"https://bulk.example"}]}`, 1},
		{"the second origin", `{"resourceType":"Patient","photo":[{"url":"http://127.0.0.1:8080/x"}]}`, 1},
		{"other case", `{"resourceType":"Patient","photo":[{"url":"HTTPS://Bulk.Example/1"}]}`, 1},
		{"all in capitals", `{"resourceType":"Patient","photo":[{"url":"HTTPS://BULK.EXAMPLE/1"}]}`, 1},
		{"the host before", `{"resourceType":"Patient","implicitRules":"bulk.exampl bulk.example","photo":[{"url":"https://bulk.example/1"}]}`, 1},
		{"escapes of slashes alone", `{"resourceType":"Patient","photo":[{"url":"https:\/\/bulk.example\/1"}]}`, 1},
		{"escapes of letters alone", `{"resourceType":"Patient","id":"\\","photo":[{"url":"https://bul\u006b.example/1"}]}`, 1},
		{"another port", `{"resourceType":"Patient","photo":[{"url":"https://bulk.example:443/1"}]}`, 1},
		{"escapes", `{"resourceType":"Patient","photo":[{"u\u0072l":"https:\/\/bulk.e\u0078ample\/1"}]}`, 1},
		{"an extension's value", `{"resourceType":"Patient","extension":[{"url":"u","valueAttachment":` + there + `}]}`, 1},
		{"an extension within one", `{"resourceType":"Patient","name":[{"extension":[{"url":"u","extension":[{"url":"v","valueAttachment":` + there + `}]}]}]}`, 1},
		{"an extension of a primitive", `{"resourceType":"Patient","_birthDate":{"extension":[{"url":"u","valueAttachment":` + there + `}]}}`, 1},
		{"an extension of primitives", `{"resourceType":"Patient","name":[{"_given":[null,{"extension":[{"url":"u","valueAttachment":` + there + `}]}]}]}`, 1},
		{"a modifier extension", `{"resourceType":"Patient","modifierExtension":[{"url":"u","valueAttachment":` + there + `}]}`, 1},
		{"a contained resource", `{"resourceType":"Claim","contained":[{"resourceType":"DocumentReference","content":[{"attachment":` + there + `}]}]}`, 1},
		{"a Bundle's entry", `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","photo":[` + there + `]}}]}`, 1},
		{"a choice of any type", `{"resourceType":"Task","input":[{"valueAttachment":` + there + `}]}`, 1},
		{"items within items", `{"resourceType":"QuestionnaireResponse","item":[{"item":[{"answer":[{"valueAttachment":` + there + `}]}]}]}`, 1},
		{"no list where one belongs", `{"resourceType":"Patient","photo":` + there + `}`, 1},
		{"a member that R4 does not know", `{"resourceType":"Patient","video":{"attachment":` + there + `}}`, 1},
		{"a type that R4 does not know", `{"resourceType":"Video","content":` + there + `}`, 1},
		{"a contained one of such a type", `{"resourceType":"Claim","contained":[{"resourceType":"Video","content":` + there + `}]}`, 1},
		{"contained in such a type", `{"resourceType":"Video","contained":[{"resourceType":"ValueSet","url":"https://bulk.example/ValueSet/1"}]}`, 0},

		{"nothing", `{"resourceType":"Patient","photo":[{"data":"aGVsbG8="}]}`, 0},
		{"another origin", `{"resourceType":"Patient","photo":[{"url":"https://other.example/1"}]}`, 0},
		{"a longer host", `{"resourceType":"Patient","photo":[{"url":"https://bulk.example.org/1"}]}`, 0},
		{"another scheme", `{"resourceType":"Patient","photo":[{"url":"http://bulk.example/1"}]}`, 0},
		{"a relative url", `{"resourceType":"Patient","photo":[{"url":"Binary/1"}]}`, 0},
		{"no text", `{"resourceType":"Patient","photo":[{"url":["https://bulk.example/1"]}]}`, 0},
		{"a reference", `{"resourceType":"Claim","patient":{"reference":"https://bulk.example/fhir/Patient/1"}}`, 0},
		{"an extension's own url", `{"resourceType":"Patient","extension":[{"url":"https://bulk.example/fhir/StructureDefinition/1","valueString":"x"}]}`, 0},
		{"an extension's url in a contained resource", `{"resourceType":"Claim","contained":[{"resourceType":"Patient","extension":[{"url":"https://bulk.example/x","valueUrl":"https://bulk.example/1"}]}]}`, 0},
		{"an extension's url in what R4 does not know", `{"resourceType":"Video","x":{"extension":[{"url":"https://bulk.example/x"}]}}`, 0},
		{"a canonical resource's url", `{"resourceType":"ValueSet","url":"https://bulk.example/fhir/ValueSet/1"}`, 0},
		{"a Bundle's link", `{"resourceType":"Bundle","link":[{"relation":"self","url":"https://bulk.example/1"}]}`, 0},
		{"other members", `{"resourceType":"Patient","implicitRules":"https://bulk.example/1","photo":[{"title":"https://bulk.example/1"}]}`, 0},
	} {
		o := columnar.Options{AttachmentOrigins: []string{"https://bulk.example", "http://127.0.0.1:8080/"}}
		parts := roundTrip(t, o, tt.resource, `{"resourceType":"`+strings.Split(tt.resource, `"`)[3]+`"}`)
		if got := parts[0].Attachments; got != tt.want {
			t.Errorf("%s: %d rows, not %d", tt.name, got, tt.want)
		}
		parts = roundTrip(t, columnar.Options{}, tt.resource)
		if got := parts[0].Attachments; got != 0 {
			t.Errorf("%s: %d rows count without an origin", tt.name, got)
		}
	}
}
