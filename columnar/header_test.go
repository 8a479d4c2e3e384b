package columnar_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

// SkipHeaders skips the headers of blocks, and nothing else.
func TestHeaders(t *testing.T) {
	t.Parallel()
	const patient = `{"resourceType":"Patient","id":"1"}`
	headers := []string{
		`{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/1"}}]}`,
		`{"parameter":[{"valueString":"x"},7,{"n\u0061me":"he\u0061der"}],"resourceType":"Parameters"}`,
	}
	others := []string{
		`{"resourceType":"Parameters"}`,
		`{"resourceType":"Parameters","parameter":[]}`,
		`{"resourceType":"Parameters","parameter":{"name":"header"}}`,
		`{"resourceType":"Parameters","parameter":[{"name":"Header"},{"name":["header"]},{"x":{"name":"header"}},"header"]}`,
		`{"resourceType":"Parameters","id":"header","name":"header"}`,
		`{"resourceType":"Basic","parameter":[{"name":"header"}]}`,
	}
	input := ndjson(headers[0], patient, headers[1], headers[0], patient, others[0], others[1], others[2], others[3], others[4], others[5], headers[0])
	for _, skip := range []bool{true, false} {
		parts, read := convert(t, columnar.Options{SkipHeaders: skip}, strings.NewReader(input))
		want := columnar.ReadStats{Resources: 8, Headers: 4, Bytes: int64(len(input))}
		if !skip {
			want.Resources, want.Headers = 12, 0
		}
		if read != want {
			t.Errorf("skipping %v: %+v, not %+v", skip, read, want)
		}
		if got := byType(t, parts); skip {
			same(t, map[string][]string{"Patient": {patient, patient}, "Parameters": others[:5], "Basic": others[5:]}, got)
		}
	}
	// A deleted file may have them, too.
	input = ndjson(headers[0], bundle(deletion("Patient/1")), others[0])
	parts, q, read := bury(t, columnar.Options{SkipHeaders: true}, input)
	if want := (columnar.ReadStats{Resources: 1, Quarantined: 1, Bundles: 1, Headers: 1, Bytes: int64(len(input))}); read != want {
		t.Errorf("of a deleted file: %+v, not %+v", read, want)
	}
	if diff := cmp.Diff([]string{"2"}, []string{rows(t, parts[0])[0].text("__origin.line")}); diff != "" || len(q) != 1 {
		t.Errorf("lines: %s, %d in quarantine", diff, len(q))
	}
}
