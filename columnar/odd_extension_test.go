package columnar_test

import (
	"strings"
	"testing"
)

func TestOddExtensions(t *testing.T) {
	t.Parallel()
	const (
		race = `{"url":"race","extension":[{"url":"ombCategory","valueCoding":{"system":"oid","code":"2106-3","display":"White"}},{"url":"text","valueString":"White"}]}`
		note = `{"url":"note","valueBoolean":true}`
	)
	checkOdd(t, "Patient", []oddCase{
		{"of the resource", `"extension":[` + note + `]`, columns{
			"__extension.path": "", "__extension.modifier": "false", "__extension.url": "note", "__extension.urls": "note",
			"__extension.type": "boolean", "__extension.value": "true", "__extension.json": note,
		}},
		{"modifiers", `"extension":[` + note + `],"modifierExtension":[` + note + `],"contact":[{"modifierExtension":[` + note + `]}]`, columns{
			"__extension.path": "||contact[0]", "__extension.modifier": "false|true|true", "__extension.url": "note|note|note", "__extension.urls": "note|note|note",
			"__extension.type": "boolean|boolean|boolean", "__extension.value": "true|true|true", "__extension.json": note + "|" + note + "|" + note,
		}},
		{"within one another", `"extension":[` + race + `,` + note + `]`, columns{
			"__extension.path": "|||", "__extension.modifier": "false|false|false|false", "__extension.parent": "0|0",
			"__extension.url": "race|ombCategory|text|note", "__extension.urls": "race|race|ombCategory|race|text|note",
			"__extension.type": "Coding|string|boolean", "__extension.value": "2106-3|White|true",
			"__extension.system": "oid", "__extension.display": "White", "__extension.json": race + "|" + note,
		}},
		{"of structs and lists", `"address":[{},{"period":{"extension":[` + note + `]},"extension":[` + note + `]}],"meta":{"extension":[` + note + `]}`, columns{
			"__extension.path": "address[1].period|address[1]|meta", "__extension.modifier": "false|false|false",
			"__extension.url": "note|note|note", "__extension.urls": "note|note|note",
			"__extension.type": "boolean|boolean|boolean", "__extension.value": "true|true|true", "__extension.json": note + "|" + note + "|" + note,
		}},
		{"of a primitive", `"birthDate":"1970","_birthDate":{"extension":[` + note + `]}`, columns{
			"birthDate": "1970", "__birthDate_start": "1970-01-01T00:00:00Z",
			"__extension.path": "_birthDate", "__extension.modifier": "false", "__extension.url": "note", "__extension.urls": "note",
			"__extension.type": "boolean", "__extension.value": "true", "__extension.json": note,
		}},
		{"of a primitive that is not there", `"_gender":{"extension":[` + note + `],"id":"g"}`, columns{
			"__extension.path": "_gender", "__extension.modifier": "false", "__extension.url": "note", "__extension.urls": "note",
			"__extension.type": "boolean", "__extension.value": "true", "__extension.json": note, "__residual": `{"/_gender/id":"g"}`,
		}},
		{"of primitives in a list", `"name":[{"given":["A",null,"B"],"_given":[null,{"extension":[` + note + `]},{"id":"b"}]}]`, columns{
			"name.given": "A|B", "__residual": `{"/name/0/_given/2/id":"b"}`,
			"__extension.path": "name[0]._given[1]", "__extension.modifier": "false", "__extension.url": "note", "__extension.urls": "note",
			"__extension.type": "boolean", "__extension.value": "true", "__extension.json": note,
		}},
		{"nulls at the end of a list's", `"name":[{"given":["A","B"],"_given":[{"extension":[` + note + `]},null]}]`, columns{
			"name.given": "A|B", "__residual": `{"/name/0/_given/1":null}`,
			"__extension.path": "name[0]._given[0]", "__extension.modifier": "false", "__extension.url": "note", "__extension.urls": "note",
			"__extension.type": "boolean", "__extension.value": "true", "__extension.json": note,
		}},
		{"more than the list", `"name":[{"_given":[null,null,{"extension":[` + note + `]}]}]`, columns{
			"__extension.path": "name[0]._given[2]", "__extension.modifier": "false", "__extension.url": "note", "__extension.urls": "note",
			"__extension.type": "boolean", "__extension.value": "true", "__extension.json": note,
		}},
		{"siblings without extensions", `"_gender":{},"_birthDate":{"extension":[]},"name":[{"_given":[],"_family":{"id":"f"}},{"_given":[null]},{"_given":[{}]},{"_given":[{},null,5,null]}]`,
			columns{"__residual": `{"/_gender":{},"/_birthDate/extension":[],"/name/0/_given":[],"/name/0/_family/id":"f","/name/1/_given/0":null,"/name/2/_given/0":{},"/name/3/_given/0":{},"/name/3/_given/2":5,"/name/3/_given/3":null}`}},
		{"siblings of other types", `"_gender":[{"id":"g"}],"_birthDate":"x","name":[{"_given":{"id":"g"},"_family":[null]}]`,
			columns{"__residual": `{"/_gender":[{"id":"g"}],"/_birthDate":"x","/name/0/_given":{"id":"g"},"/name/0/_family":[null]}`}},
		{"unknown members of siblings", `"_gender":{"value":"x","modifierExtension":[` + note + `]}`, columns{
			"__extension.path": "_gender", "__extension.modifier": "true", "__extension.url": "note", "__extension.urls": "note",
			"__extension.type": "boolean", "__extension.value": "true", "__extension.json": note, "__residual": `{"/_gender/value":"x"}`,
		}},
		{"siblings of what has none", `"_meta":{"id":"m"},"_name":[null],"_contained":null,"_resourceType":{}`,
			columns{"__residual": `{"/_meta":{"id":"m"},"/_name":[null],"/_contained":null,"/_resourceType":{}}`}},
		{"a sibling twice", `"_gender":{"id":"1"},"_gender":{"id":"2"}`, columns{"__residual": `{"":LINE}`}},
		{"a sibling's member twice", `"_gender":{"id":"1","id":"2"}`, columns{"__residual": `{"":LINE}`}},
		{"extension twice", `"extension":[` + note + `],"extension":[]`, columns{
			"__extension.path": "", "__extension.modifier": "false", "__extension.url": "note", "__extension.urls": "note",
			"__extension.type": "boolean", "__extension.value": "true", "__extension.json": note, "__residual": `{"":LINE}`,
		}},
		{"extensions of other types", `"extension":{"url":"u"},"modifierExtension":[null],"meta":{"extension":[{"url":"u"},5]}`,
			columns{"__residual": `{"/extension":{"url":"u"},"/modifierExtension":[null],"/meta/extension":[{"url":"u"},5]}`}},
		{"extensions without a url", `"extension":[{},{"url":5},{"url":null,"extension":[{"url":"in"}]},{"url":{"a":1}}]`, columns{
			"__extension.path": "||||", "__extension.modifier": "false|false|false|false|false", "__extension.parent": "2",
			"__extension.url": "5|in", "__extension.urls": "5|in", "__extension.json": `{}|{"url":5}|{"url":null,"extension":[{"url":"in"}]}|{"url":{"a":1}}`,
		}},
		{"odd things within", `"extension":[{"id":"e","colour":1,"url":"a","url":"b","valueString":null,"valueCode":"c","extension":[{"url":"x"},7,null]}]`, columns{
			"__extension.path": "|", "__extension.modifier": "false|false", "__extension.parent": "0", "__extension.url": "a|x", "__extension.urls": "a|a|x",
			"__extension.type": "string", "__extension.json": `{"id":"e","colour":1,"url":"a","url":"b","valueString":null,"valueCode":"c","extension":[{"url":"x"},7,null]}`,
		}},
		{"extensions of a value", `"extension":[{"url":"u","valueAddress":{"city":"C","_city":{"extension":[{"url":"v"}]}}}]`, columns{
			"__extension.path": "|", "__extension.modifier": "false|false", "__extension.parent": "0", "__extension.url": "u|v", "__extension.urls": "u|u|v",
			"__extension.type": "Address", "__extension.json": `{"url":"u","valueAddress":{"city":"C","_city":{"extension":[{"url":"v"}]}}}`,
		}},
		{"escaped names and a surrogate", `"extension":[{"\u0075rl":"\ud800","value\u0053tring":"\ud83d\ude00"}]`, columns{
			"__extension.path": "", "__extension.modifier": "false", "__extension.url": "\ufffd", "__extension.urls": "\ufffd",
			"__extension.type": "string", "__extension.value": "\U0001F600", "__extension.json": `{"\u0075rl":"\ud800","value\u0053tring":"\ud83d\ude00"}`,
		}},
		{"contained", `"contained":[{"resourceType":"Organization","id":"o","extension":[` + note + `]},{"id":5},{}]`, columns{
			"__contained.resourceType": "Organization", "__contained.id": "o|5",
			"__contained.json": `{"resourceType":"Organization","id":"o","extension":[` + note + `]}|{"id":5}|{}`,
		}},
		{"contained of another type", `"contained":{"id":"1"}`, columns{"__residual": `{"/contained":{"id":"1"}}`}},
		{"contained with a null", `"contained":[{"id":"1"},null]`, columns{"__residual": `{"/contained":[{"id":"1"},null]}`}},
	})
}

// The short form of an extension's value.
func TestExtensionValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, value, typ, short, system, display string }{
		{"valueString", `"a\nb"`, "string", "a\nb", "", ""},
		{"valueDecimal", `1.50`, "decimal", "1.50", "", ""},
		{"valueInteger", `-0`, "integer", "-0", "", ""},
		{"valuePositiveInt", `1`, "positiveInt", "1", "", ""},
		{"valueBase64Binary", `"QQ=="`, "base64Binary", "QQ==", "", ""},
		{"valueCoding", `{"system":"s","code":"c","display":"d"}`, "Coding", "c", "s", "d"},
		{"valueCodeableConcept", `{"coding":[{"system":"s","code":"c"},{"code":"2"}],"text":"t"}`, "CodeableConcept", "c", "s", "t"},
		{"valueCodeableConcept", `{"text":"t"}`, "CodeableConcept", "t", "", ""},
		{"valueCodeableConcept", `{"coding":[],"text":"t"}`, "CodeableConcept", "t", "", ""},
		{"valueQuantity", `{"value":1.50,"unit":"u","system":"s","code":"c"}`, "Quantity", "1.50", "s", "c"},
		{"valueQuantity", `{"value":1,"unit":"u"}`, "Quantity", "1", "", "u"},
		{"valueMoney", `{"value":1e2,"currency":"EUR"}`, "Money", "1e2", "", "EUR"},
		{"valueIdentifier", `{"system":"s","value":"v"}`, "Identifier", "v", "s", ""},
		{"valueReference", `{"reference":"Patient/1","display":"d"}`, "Reference", "Patient/1", "", "d"},
		{"valuePeriod", `{"start":"2015"}`, "Period", "", "", ""},
		{"valueString", `[1]`, "string", "", "", ""},
	} {
		json := `{"url":"u","` + tt.name + `":` + tt.value + `}`
		parts := roundTrip(t, options, `{"resourceType":"Basic","extension":[`+json+`]}`)
		row := rows(t, parts[0])[0]
		for column, want := range (columns{"type": tt.typ, "value": tt.short, "system": tt.system, "display": tt.display, "json": json}) {
			if got := row.text("__extension." + column); got != want {
				t.Errorf("%s: %s is %q, not %q", json, column, got, want)
			}
		}
	}
}

// However deep extensions nest, their urls are bounded.
func TestLongURLs(t *testing.T) {
	t.Parallel()
	const children = 2000
	url := strings.Repeat("u", 100<<10)
	line := `{"resourceType":"Basic","extension":[{"url":"` + url + `","extension":[{}` + strings.Repeat(`,{}`, children-1) + `]}]}`
	next := `{"resourceType":"Basic","extension":[{"url":"u","extension":[{},{}]}]}`
	parts := roundTrip(t, options, line, next)
	check(t, parts[0])
	all := rows(t, parts[0])
	if n := len(all[0]["__extension.urls"]); n > 100 {
		t.Errorf("the url is there %d times", n)
	}
	if n := len(all[1]["__extension.urls"]); n != 3 {
		t.Errorf("the next row has %d urls", n)
	}
}

// Many extensions in one with a long url do not make columns many times as large as the line.
func TestManyURLs(t *testing.T) {
	t.Parallel()
	line := `{"resourceType":"Basic"` + strings.Repeat(`,"extension":[{"url":"u"`, 400) + strings.Repeat(`}]`, 400) + `}`
	parts := roundTrip(t, options, line)
	check(t, parts[0])
	row := rows(t, parts[0])[0]
	if n := len(row["__extension.url"]); n != 400 {
		t.Errorf("there are %d extensions", n)
	}
	if n := len(row["__extension.urls"]); n != 16*17/2+16*(400-16) {
		t.Errorf("there are %d urls", n)
	}
}
