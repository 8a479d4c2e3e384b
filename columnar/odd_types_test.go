package columnar_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

func TestOddDecimals(t *testing.T) {
	t.Parallel()
	value := func(number string) string { return `"valueQuantity":{"value":` + number + `}` }
	// as is a number that the column tells alone, written one that needs its lexeme too.
	as := func(number, column string) oddCase {
		return oddCase{number, value(number), columns{"valueQuantity.value": column}}
	}
	written := func(number, column string) oddCase {
		return oddCase{number, value(number), columns{"valueQuantity.value": column, "valueQuantity.__value_lexeme": number}}
	}
	tooLarge := func(number string) oddCase {
		return oddCase{number[:min(len(number), 40)], value(number), columns{"valueQuantity.__value_lexeme": number}}
	}
	checkOdd(t, "Observation", []oddCase{
		as("0", "0.000000000"),
		as("1", "1.000000000"),
		as("-1", "-1.000000000"),
		as("100", "100.000000000"),
		as("1.5", "1.500000000"),
		as("-0.000000001", "-0.000000001"),
		as("9223372036.854775807", "9223372036.854775807"),
		as("9223372036.854775808", "9223372036.854775808"),
		as("-9223372036.854775809", "-9223372036.854775809"),
		as("18446744073709551616", "18446744073709551616.000000000"),
		as("99999999999999999999999999999.999999999", "99999999999999999999999999999.999999999"),
		as("-99999999999999999999999999999.999999999", "-99999999999999999999999999999.999999999"),
		written("1.50", "1.500000000"),
		written("1.0", "1.000000000"),
		written("0.0", "0.000000000"),
		written("-0", "0.000000000"),
		written("-0.0", "0.000000000"),
		written("1e3", "1000.000000000"),
		written("1E+3", "1000.000000000"),
		written("12e-1", "1.200000000"),
		written("1E-20", "0.000000000"),
		written("-1E-20", "0.000000000"),
		written("0e99999999999999999999", "0.000000000"),
		written("1e-99999999999999999999", "0.000000000"),
		written("0.0000000005", "0.000000000"),
		written("0.0000000015", "0.000000002"),
		written("0.00000000149999999999999999999999999999999999999999", "0.000000001"),
		written("0.00000000050000000000000000000000000000000000000001", "0.000000001"),
		written("-0.0000000025", "-0.000000002"),
		written("3.14159265358979323846", "3.141592654"),
		written("1.000000000000", "1.000000000"),
		written("123456789012345678901234567890e-20", "1234567890.123456789"),
		written("0.00000000000000000000000000001e40", "100000000000.000000000"),
		tooLarge("100000000000000000000000000000"),
		tooLarge("-100000000000000000000000000000"),
		tooLarge("99999999999999999999999999999.9999999995"),
		tooLarge("123456789012345678901234567890123456789012345678901234567890"),
		tooLarge("1e29"),
		tooLarge("1e99999999999999999999"),
		tooLarge(strings.Repeat("9", 1_000_000)),
		{"many places", value("0." + strings.Repeat("1", 1_000_000)),
			columns{"valueQuantity.value": "0.111111111", "valueQuantity.__value_lexeme": "0." + strings.Repeat("1", 1_000_000)}},
		{"a string", value(`"1.5"`), columns{"__residual": `{"/valueQuantity/value":"1.5"}`}},
		{"twice", `"valueQuantity":{"value":1,"value":1.0}`, columns{"valueQuantity.value": "1.000000000", "__residual": `{"":LINE}`}},
		{"twice, too large for the column", `"valueQuantity":{"value":1e400,"value":1e400}`,
			columns{"valueQuantity.__value_lexeme": "1e400", "__residual": `{"":LINE}`}},
		{"twice, the first too large", `"valueQuantity":{"value":1e400,"value":1}`,
			columns{"valueQuantity.__value_lexeme": "1e400", "__residual": `{"":LINE}`}},
	})
	checkOdd(t, "MolecularSequence", []oddCase{
		{"in lists", `"quality":[{"roc":{"precision":[1,2.50,null,1e400,"x"],"sensitivity":[],"fMeasure":[null],"score":[1,-0,null]}}]`, columns{
			"quality.roc.precision": "1.000000000|2.500000000", "quality.roc.__precision_lexeme": "2.50|1e400", "quality.roc.score": "1",
			"__residual": `{"/quality/0/roc/precision/4":"x","/quality/0/roc/score/1":-0}`,
		}},
		{"lists twice", `"quality":[{"roc":{"precision":[1e400],"precision":[]}}]`,
			columns{"quality.roc.__precision_lexeme": "1e400", "__residual": `{"":LINE}`}},
	})
	checkOdd(t, "DeviceRequest", []oddCase{
		{"dates in lists", `"occurrenceTiming":{"event":["2015",null,"x",5,"2016-02-03T04:05:06Z"]}`, columns{
			"occurrenceTiming.event": "2015|x|2016-02-03T04:05:06Z", "occurrenceTiming.__event_start": "2015-01-01T00:00:00Z|2016-02-03T04:05:06Z",
			"__residual": `{"/occurrenceTiming/event/3":5}`,
		}},
		{"no dates in lists", `"occurrenceTiming":{"event":[],"_event":[{"id":"e"}]}`, columns{"__residual": `{"/occurrenceTiming/_event/0/id":"e"}`}},
	})
}

func TestOddReferences(t *testing.T) {
	t.Parallel()
	checkOdd(t, "Patient", []oddCase{
		{"an identifier of a reference", `"managingOrganization":{"reference":"r","type":"Organization","display":"d","identifier":{"system":"s","value":"v","use":"official","type":{"text":"t"},"assigner":{"display":"a"}}}`, columns{
			"managingOrganization.reference": "r", "managingOrganization.type": "Organization", "managingOrganization.display": "d",
			"managingOrganization.identifier.system": "s", "managingOrganization.identifier.value": "v",
			"__residual": `{"/managingOrganization/identifier/use":"official","/managingOrganization/identifier/type":{"text":"t"},"/managingOrganization/identifier/assigner":{"display":"a"}}`,
		}},
		{"an assigner of an identifier", `"identifier":[{"assigner":{"reference":"r","display":"d","type":"Organization","identifier":{"value":"v"},"_display":{"id":"x"}}}]`, columns{
			"identifier.assigner.reference": "r", "identifier.assigner.display": "d",
			"__residual": `{"/identifier/0/assigner/type":"Organization","/identifier/0/assigner/identifier":{"value":"v"},"/identifier/0/assigner/_display/id":"x"}`,
		}},
		{"siblings of what has no column", `"identifier":[{"assigner":{"_type":{"id":"x"}}}]`, columns{"__residual": `{"/identifier/0/assigner/_type":{"id":"x"}}`}},
		{"a reference that is none", `"managingOrganization":"Organization/1","generalPractitioner":[{"reference":5}]`,
			columns{"__residual": `{"/managingOrganization":"Organization/1","/generalPractitioner/0/reference":5}`}},
	})
}

func TestOddStructures(t *testing.T) {
	t.Parallel()
	checkOdd(t, "Questionnaire", []oddCase{
		{"items within items", `"item":[{"linkId":"1","item":[{"linkId":"2","item":[ {"linkId":1.0} ]}]},{"item":[]},{"item":null},{"item":{}}]`, columns{
			"item.linkId": "1", "item.item": `[{"linkId":"2","item":[ {"linkId":1.0} ]}]|[]|null|{}`,
		}},
	})
	checkOdd(t, "Task", []oddCase{
		{"an open choice", `"input":[{"valueString":"a\n"},{"valueQuantity":{"value":1.50,"code":"kg","system":"s"}},{"valueBoolean":true},{"valueReference":{"reference":"r"}},{},{"valueAge":5},{"valueString":null}]`, columns{
			"input.value.type":  "string|Quantity|boolean|Reference|Age|string",
			"input.value.value": "a\n|1.50|true|r|5",
			"input.value.json":  `"a\n"|{"value":1.50,"code":"kg","system":"s"}|true|{"reference":"r"}|5|null`,
		}},
		{"two types of an open choice", `"output":[{"valueString":"a","valueCode":"b"}]`,
			columns{"output.value.type": "string", "output.value.value": "a", "output.value.json": `"a"`, "__residual": `{"":LINE}`}},
		{"an open choice twice", `"output":[{"valueString":"a","valueString":"b"}]`,
			columns{"output.value.type": "string", "output.value.value": "a", "output.value.json": `"a"`, "__residual": `{"":LINE}`}},
		{"a choice of no type", `"output":[{"valueFoo":"a","value":"b","valueMoneyQuantity":{}}]`,
			columns{"__residual": `{"/output/0/valueFoo":"a","/output/0/value":"b","/output/0/valueMoneyQuantity":{}}`}},
		{"a sibling of an open choice", `"output":[{"_valueString":{"id":"s"},"valueString":"a"}]`,
			columns{"output.value.type": "string", "output.value.value": "a", "output.value.json": `"a"`, "__residual": `{"/output/0/_valueString/id":"s"}`}},
		{"a lone surrogate in an open choice", `"output":[{"valueString":"\ud800"}]`,
			columns{"output.value.type": "string", "output.value.value": "\ufffd", "output.value.json": `"\ud800"`}},
	})
	checkOdd(t, "Bundle", []oddCase{
		{"resources of a bundle", `"entry":[{"resource":{"resourceType":"Patient","id":"1","id":"2"}},{"resource":null},{"resource":"x"},{}]`,
			columns{"entry.resource": `{"resourceType":"Patient","id":"1","id":"2"}|null|"x"`}},
		{"a bundle has none contained", `"contained":[{"id":"1"}],"extension":[{"url":"u"}]`, columns{
			"__extension.path": "", "__extension.modifier": "false", "__extension.url": "u", "__extension.urls": "u", "__extension.json": `{"url":"u"}`,
			"__residual": `{"/contained":[{"id":"1"}]}`,
		}},
	})
	checkOdd(t, "Parameters", []oddCase{
		{"parts of parameters", `"parameter":[{"name":"a","valueDate":"2015"},{"resource":{"resourceType":"Foo"}},{"part":[{"name":"b"}]}]`, columns{
			"parameter.name": "a", "parameter.value.type": "date", "parameter.value.value": "2015", "parameter.value.json": `"2015"`,
			"parameter.resource": `{"resourceType":"Foo"}`, "parameter.part": `[{"name":"b"}]`,
		}},
	})
	checkOdd(t, "ExampleScenario", []oddCase{
		{"an element resourceType", `"instance":[{"resourceType":"Patient"},{"resourceType":5},{"_resourceType":{"id":"r"}}]`, columns{
			"instance.resourceType": "Patient", "__residual": `{"/instance/1/resourceType":5,"/instance/2/_resourceType/id":"r"}`,
		}},
	})
	checkOdd(t, "Foo", []oddCase{
		{"nothing", ``, nil},
		{"a type that R4 does not know", `"id":"1","language":"en","text":{"status":"x","div":"<div/>"},"name":[{"family":"F"}],"extension":[{"url":"u"}],"contained":[{}],"_id":{"id":"i"}`, columns{
			"id": "1", "language": "en", "text.status": "x", "text.div": "<div/>",
			"__extension.path": "", "__extension.modifier": "false", "__extension.url": "u", "__extension.urls": "u", "__extension.json": `{"url":"u"}`,
			"__contained.json": "{}", "__residual": `{"/name":[{"family":"F"}],"/_id/id":"i"}`,
		}},
	})
}

// How resourceType is written makes no difference.
func TestOddResourceTypes(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"resourceType":"Patient"}`,
		`{"resourceType":"P\u0061tient","id":"1"}`,
		`{"resource\u0054ype":"Patient","id":"1"}`,
		`{"id":"1","contained":[{"resourceType":"Claim"}],"resourceType":"Patient"}`,
		`{"resourceType":"Patient","resourceType":"Patient"}`,
		`{"resourceType":"Patient","resource\u0054ype":"Claim"}`,
		`{"resourceType":"Patient","resourceType":{"resourceType":1}}`,
		"{ \t\"resourceType\" :\r \"Patient\" , \"name\" : [ ] }",
		"{ \t\"resourceType\" :\r \"Patient\" , \"name\" : [ ] , \"name\" : 1 }",
	} {
		parts := roundTrip(t, options, line)
		if len(parts) != 1 || parts[0].ResourceType != "Patient" {
			t.Errorf("%s: the parts are %v", line, parts)
		}
	}
}

// A row without an origin has a null __origin.
func TestOrigin(t *testing.T) {
	t.Parallel()
	m := memory{}
	w, _, err := appendTo(m, ndjson(``, `{"resourceType":"Basic"}`))
	if err != nil {
		t.Fatal(err)
	}
	for path := range rows(t, m.finish(t, w)[0])[0] {
		if path != "resourceType" {
			t.Errorf("it has %s", path)
		}
	}
	row := rows(t, roundTrip(t, options, `{"resourceType":"Basic"}`)[0])[0]
	for column, want := range (columns{"source": origin.Source, "feed": origin.Feed, "run": origin.Run, "file": origin.File, "line": "1", "transactionTime": origin.TransactionTime}) {
		if got := row.text("__origin." + column); got != want {
			t.Errorf("%s is %q, not %q", column, got, want)
		}
	}
}

// Each row has the origin that its Append was given, even if the caller reuses an Origin.
func TestOriginsOfOneWriter(t *testing.T) {
	t.Parallel()
	m := memory{}
	w := columnar.NewWriter(columnar.Options{Create: m.create})
	from := origin
	var want []string
	for n := range 3 {
		from.File = fmt.Sprintf("%d.ndjson", n)
		if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(ndjson(`{"resourceType":"Basic"}`, `{"resourceType":"Basic"}`)), 0), &from); err != nil {
			t.Fatal(err)
		}
		want = append(want, from.File, from.File)
	}
	var got []string
	for _, row := range rows(t, m.finish(t, w)[0]) {
		got = append(got, row.text("__origin.file"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the rows' files are %q, not %q", got, want)
	}
}
