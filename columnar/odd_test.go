package columnar_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

// oddCase is a resource with something odd in it, and all columns that have a value for it, except
// resourceType and __origin. Values of a list are separated by a bar. What is not in columns is in
// levels, and is checked by restoring.
type oddCase struct {
	name, line string
	want       map[string]string
}

// options are none.
var options = columnar.Options{}

type columns = map[string]string

// checkOdd converts each case between two rows that have many values, so that a value that goes
// astray is noticed.
func checkOdd(t *testing.T, resourceType string, cases []oddCase) {
	t.Helper()
	g := newGenerator(7, 0.4)
	for _, tt := range cases {
		before, behind := g.resource(resourceType), g.resource(resourceType)
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			line := `{"resourceType":"` + resourceType + `"`
			if tt.line != "" {
				line += "," + tt.line
			}
			line += "}"
			parts := roundTrip(t, columnar.Options{}, before, line, behind)
			check(t, parts[0])
			got := columns{}
			row := rows(t, parts[0])[1]
			for path := range row {
				if path != "resourceType" && !strings.HasPrefix(path, "__origin.") {
					got[path] = row.text(path)
				}
			}
			for path := range tt.want {
				tt.want[path] = strings.ReplaceAll(tt.want[path], "LINE", line)
			}
			if tt.want == nil {
				tt.want = columns{}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s\ncolumns (-want +got):\n%s", line, diff)
			}
		})
	}
}

func TestOddPatients(t *testing.T) {
	t.Parallel()
	checkOdd(t, "Patient", []oddCase{
		// Absent, {}, [] and [null] stay apart.
		{"nothing", ``, nil},
		{"an empty struct", `"meta":{}`, nil},
		{"an empty list", `"name":[]`, nil},
		{"a list of null", `"name":[null]`, nil},
		{"a list of nulls and an empty struct", `"name":[null,{},null]`, nil},
		{"an empty list of primitives", `"name":[{"given":[]}]`, nil},
		{"nulls in a list of primitives", `"name":[{"given":[null,"A",null]},{"given":[null]}]`, columns{"name.given": "A"}},
		{"empty strings", `"id":"","name":[{"given":[""]}]`, columns{"id": "", "name.given": ""}},
		{"an empty contained", `"contained":[]`, columns{"__residual": `{"/contained":[]}`}},
		{"an empty extension", `"extension":[],"meta":{"extension":[]}`, columns{"__residual": `{"/extension":[],"/meta/extension":[]}`}},
		{"an explicit null", `"id":null,"meta":null,"name":null`, columns{"__residual": `{"/id":null,"/meta":null,"/name":null}`}},
		{"nulls of all kinds", `"active":null,"birthDate":null,"multipleBirthInteger":null,"contained":null,"extension":null,"_birthDate":null`,
			columns{"__residual": `{"/active":null,"/birthDate":null,"/multipleBirthInteger":null,"/contained":null,"/extension":null,"/_birthDate":null}`}},

		// Values of another JSON type than the column's.
		{"a number for a string", `"id":5`, columns{"__residual": `{"/id":5}`}},
		{"a string for a struct", `"meta":"x"`, columns{"__residual": `{"/meta":"x"}`}},
		{"an array for a struct", `"meta":[{"versionId":"1"}]`, columns{"__residual": `{"/meta":[{"versionId":"1"}]}`}},
		{"a struct for a list", `"name":{"family":"F"}`, columns{"__residual": `{"/name":{"family":"F"}}`}},
		{"a string for a list", `"name":[{"given":"G"}]`, columns{"__residual": `{"/name/0/given":"G"}`}},
		{"others in a list of structs", `"name":["x",{"family":"F"},5,[{}],true]`,
			columns{"name.family": "F", "__residual": `{"/name/0":"x","/name/2":5,"/name/3":[{}],"/name/4":true}`}},
		{"others in a list of strings", `"name":[{"given":[1,"A",{},[],false]}]`,
			columns{"name.given": "A", "__residual": `{"/name/0/given/0":1,"/name/0/given/2":{},"/name/0/given/3":[],"/name/0/given/4":false}`}},
		{"a string for a boolean", `"active":"true"`, columns{"__residual": `{"/active":"true"}`}},
		{"booleans", `"active":false,"deceasedBoolean":true`, columns{"active": "false", "deceasedBoolean": "true"}},
		{"an object for a string", `"gender":{"a":[{"b":1.50}]}`, columns{"__residual": `{"/gender":{"a":[{"b":1.50}]}}`}},
		{"a list for a string", `"gender":["male"]`, columns{"__residual": `{"/gender":["male"]}`}},

		// Numbers that are not integers.
		{"an int", `"multipleBirthInteger":2147483647`, columns{"multipleBirthInteger": "2147483647"}},
		{"the smallest int", `"multipleBirthInteger":-2147483648`, columns{"multipleBirthInteger": "-2147483648"}},
		{"an int that is too large", `"multipleBirthInteger":2147483648`, columns{"__residual": `{"/multipleBirthInteger":2147483648}`}},
		{"an int that is too small", `"multipleBirthInteger":-2147483649`, columns{"__residual": `{"/multipleBirthInteger":-2147483649}`}},
		{"a huge int", `"multipleBirthInteger":123456789012345678901234567890`, columns{"__residual": `{"/multipleBirthInteger":123456789012345678901234567890}`}},
		{"minus zero", `"multipleBirthInteger":-0`, columns{"__residual": `{"/multipleBirthInteger":-0}`}},
		{"an int with a fraction", `"multipleBirthInteger":1.0`, columns{"__residual": `{"/multipleBirthInteger":1.0}`}},
		{"an int with an exponent", `"multipleBirthInteger":1e2`, columns{"__residual": `{"/multipleBirthInteger":1e2}`}},

		// Dates.
		{"a year", `"birthDate":"1970"`, columns{"birthDate": "1970", "__birthDate_start": "1970-01-01T00:00:00Z"}},
		{"a month", `"birthDate":"1905-08"`, columns{"birthDate": "1905-08", "__birthDate_start": "1905-08-01T00:00:00Z"}},
		{"a day", `"birthDate":"2000-02-29"`, columns{"birthDate": "2000-02-29", "__birthDate_start": "2000-02-29T00:00:00Z"}},
		{"no day", `"birthDate":"1900-02-29"`, columns{"birthDate": "1900-02-29"}},
		{"no date", `"birthDate":"unknown"`, columns{"birthDate": "unknown"}},
		{"a date with escapes", `"birthDate":"20\u0315-02"`, columns{"birthDate": "20\u0315-02"}},
		{"an escaped date", `"birthDate":"201\u0035-02"`, columns{"birthDate": "2015-02", "__birthDate_start": "2015-02-01T00:00:00Z"}},
		{"a time with a zone", `"meta":{"lastUpdated":"2015-02-07T13:28:17.239+02:00"}`,
			columns{"meta.lastUpdated": "2015-02-07T13:28:17.239+02:00", "meta.__lastUpdated_start": "2015-02-07T11:28:17.239Z"}},
		{"a time without a zone", `"deceasedDateTime":"2015-02-07T13:28:17"`,
			columns{"deceasedDateTime": "2015-02-07T13:28:17", "__deceasedDateTime_start": "2015-02-07T13:28:17Z"}},
		{"a number for a date", `"birthDate":1970`, columns{"__residual": `{"/birthDate":1970}`}},

		// Unknown members, ids, odd keys.
		{"an unknown member", `"colour":{"code":["green",1.50]}`, columns{"__residual": `{"/colour":{"code":["green",1.50]}}`}},
		{"an unknown member further down", `"name":[{},{"colour":1}]`, columns{"__residual": `{"/name/1/colour":1}`}},
		{"ids of elements", `"meta":{"id":"m"},"name":[{"id":"n"}]`, columns{"__residual": `{"/meta/id":"m","/name/0/id":"n"}`}},
		{"odd keys", `"":1,"/":2,"~":3,"a.b[0]":4,"\"":5,"~1":6,"\\u00e9":7,"\u0000":8,"\u4e16":9,"\n":10`,
			columns{"__residual": `{"/":1,"/~1":2,"/~0":3,"/a.b[0]":4,"/\"":5,"/~01":6,"/\\u00e9":7,"/\u0000":8,"/` + "\u4e16" + `":9,"/\n":10}`}},
		{"an escaped key", `"birth\u0044ate":"1970"`, columns{"birthDate": "1970", "__birthDate_start": "1970-01-01T00:00:00Z"}},
		{"members of both choices", `"deceasedBoolean":true,"deceasedDateTime":"1970"`,
			columns{"deceasedBoolean": "true", "deceasedDateTime": "1970", "__deceasedDateTime_start": "1970-01-01T00:00:00Z"}},
		{"a choice without its type", `"deceased":true`, columns{"__residual": `{"/deceased":true}`}},
		{"a choice of another type", `"deceasedString":"yes"`, columns{"__residual": `{"/deceasedString":"yes"}`}},
		{"another case", `"Active":true,"birthdate":"1970"`, columns{"__residual": `{"/Active":true,"/birthdate":"1970"}`}},
		{"strings", `"gender":"\u0000\b\f\n\r\t\"\\\/\u00e9\ud83d\ude00` + "\u2028\u007f" + `"`,
			columns{"gender": "\x00\b\f\n\r\t\"\\/\u00e9\U0001F600\u2028\u007f"}},

		// What columns cannot hold: the whole line is kept.
		{"a key twice", `"gender":"a","gender":"b"`, columns{"gender": "a", "__residual": `{"":LINE}`}},
		{"a key twice, the same", `"gender":"a","gender":"a"`, columns{"gender": "a", "__residual": `{"":LINE}`}},
		{"a key twice by an escape", `"gender":"a","\u0067ender":"b"`, columns{"gender": "a", "__residual": `{"":LINE}`}},
		{"a key twice, first the wrong type", `"gender":1,"gender":"b"`, columns{"__residual": `{"":LINE}`}},
		{"a key twice, then the wrong type", `"gender":"a","gender":1`, columns{"gender": "a", "__residual": `{"":LINE}`}},
		{"a key twice, both wrong", `"gender":1,"gender":2`, columns{"__residual": `{"":LINE}`}},
		{"a struct twice", `"meta":{},"meta":{"versionId":"1"}`, columns{"__residual": `{"":LINE}`}},
		{"a list twice", `"name":[{"family":"F"}],"name":[]`, columns{"name.family": "F", "__residual": `{"":LINE}`}},
		{"a list twice, first empty", `"name":[],"name":[{"family":"F"}]`, columns{"__residual": `{"":LINE}`}},
		{"a list twice, first null", `"name":[null],"name":[{"family":"F"}]`, columns{"__residual": `{"":LINE}`}},
		{"an unknown key twice", `"a":1,"a":2`, columns{"__residual": `{"":LINE}`}},
		{"an unknown key thrice", `"":1,"":2,"":1`, columns{"__residual": `{"":LINE}`}},
		{"a key twice further down", `"name":[{"family":"a"},{"given":["b"],"given":["c"]}]`,
			columns{"name.family": "a", "name.given": "b", "__residual": `{"":LINE}`}},
		{"resourceType twice", `"resourceType":"Patient"`, columns{"__residual": `{"":LINE}`}},
		{"another resourceType", `"resourceType":"Claim"`, columns{"__residual": `{"":LINE}`}},
		{"a resourceType that is none", `"resourceType":null`, columns{"__residual": `{"":LINE}`}},
		{"contained twice", `"contained":[{"resourceType":"Basic"}],"contained":[{"resourceType":"Claim"}]`,
			columns{"__contained.resourceType": "Basic", "__contained.json": `{"resourceType":"Basic"}`, "__residual": `{"":LINE}`}},
		{"a lone surrogate", `"gender":"a\ud800b"`, columns{"gender": "a\ufffdb", "__residual": `{"":LINE}`}},
		{"lone surrogates of all kinds", `"name":[{"given":["\udc00\ud800","\ud800\u0041","\ud83d\ude00"]}]`,
			columns{"name.given": "\ufffd\ufffd|\ufffdA|\U0001F600", "__residual": `{"":LINE}`}},
		{"a lone surrogate in a key", `"\ud800":1`, columns{"__residual": `{"":LINE}`}},
		{"keys that differ by a lone surrogate", `"\ud800":1,"\ud801":2`, columns{"__residual": `{"":LINE}`}},
		{"a lone surrogate where no column is", `"a":{"\ud800":"\udfff"}`, columns{"__residual": `{"/a":{"\ud800":"\udfff"}}`}},
	})
}

// An object with very many members without a column is not compared member by member.
func TestManyUnknownMembers(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"resourceType":"Patient","contained":[{"id":"1"}]`)
	for i := range 50_000 {
		fmt.Fprintf(&b, `,"x%d":1`, i)
	}
	b.WriteString(`,"contained":[{"id":"2"}],"gender":"male","gender":"female"}`)
	parts := roundTrip(t, columnar.Options{}, `{"resourceType":"Patient"}`, b.String(), `{"resourceType":"Patient"}`)
	check(t, parts[0])
	if row := rows(t, parts[0])[1]; row.text("gender") != "male" || !strings.HasPrefix(row.text("__residual"), `{"":{"resourceType":"Patient"`) {
		t.Errorf("gender is %q", row.text("gender"))
	}
}
