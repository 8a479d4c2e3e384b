package columnar_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

// FuzzAppend takes any bytes for NDJSON, with encoding/json as the oracle of what is a
// line that becomes a row.
func FuzzAppend(f *testing.F) {
	for _, seed := range []string{
		"",
		"\uFEFF\r\n{}",
		ndjson(`{"resourceType":"Patient","id":"1","meta":{"versionId":"1","lastUpdated":"2026"}}`, ``, `{"id":2,"resourceType":"Claim"}`),
		`{"resourceType":"Patient","a":"\ud800","a":[1.50,1e400,true,null,{}]} `,
		"{\"resourceType\":\"Patient\"}\r\n[]\n",
		`{"resourceType":"Patient"}{}`,
		`{"resource\u0054ype":"\u0050","resourceType":1}`,
		`{"resourceType":"../x"}`,
		"{\"resourceType\":\"Patient\",\"a\":\"\xff\"}",
		`{"resourceType":"Patient","meta":{"versionId":"1"},"meta":{"meta":[` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		want := map[string][]string{}
		badLine := int64(0)
		var good int64
		for i, line := range bytes.Split(bytes.TrimPrefix(input, []byte("\uFEFF")), []byte("\n")) {
			if line = bytes.Trim(line, " \t\r"); len(line) == 0 {
				continue
			}
			resourceType, ok := oracle(line)
			if !ok {
				badLine = int64(i + 1)
				break
			}
			good++
			want[resourceType] = append(want[resourceType], string(line))
		}

		m := memory{}
		w, read, err := appendTo(m, string(input))
		if read.Resources != good {
			t.Errorf("%d lines became rows, want %d: %v", read.Resources, good, err)
		}
		if badLine > 0 {
			var e *columnar.DataError
			if !errors.As(err, &e) || e.Line != badLine {
				t.Errorf("the error is %v, want one of line %d", err, badLine)
			}
			return
		}
		if err != nil {
			t.Fatalf("the error is %v, want none", err)
		}
		if diff := cmp.Diff(want, byType(t, m.finish(t, w))); diff != "" {
			t.Errorf("resources (-want +got):\n%s", diff)
		}
	})
}

var typeName = regexp.MustCompile(`\A[A-Z][A-Za-z0-9]{0,63}\z`)

// oracle says whether a line is an object with a resourceType, and with which.
func oracle(line []byte) (resourceType string, ok bool) {
	if line[0] != '{' || !json.Valid(line) || !utf8.Valid(line) {
		return "", false
	}
	d := json.NewDecoder(bytes.NewReader(line))
	_, _ = d.Token()
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return "", false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return "", false
		}
		// Of several, the last one that is a string counts.
		if name == "resourceType" && value[0] == '"' {
			if err := json.Unmarshal(value, &resourceType); err != nil {
				return "", false
			}
		}
	}
	return resourceType, typeName.MatchString(resourceType)
}
