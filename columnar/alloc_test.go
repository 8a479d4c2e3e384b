package columnar

import (
	"bytes"
	"context"
	"io"
	"testing"

	"fhirkiln/bulk/bulktest/population"
)

// Once its memory has grown, a row group takes rows without more of it: scanning and shredding
// allocate nothing. The test is not parallel, because other tests' allocations would count.
func TestRowsDoNotAllocate(t *testing.T) {
	world := population.New(population.Options{Seed: 1, Patients: 5})
	for _, f := range world.Files() {
		lines := bytes.Split(bytes.TrimSpace(NDJSONOf(t, world, f.Type, 0, 5)), []byte("\n"))
		checkAllocations(t, f.Type, lines[:min(len(lines), 200)])
	}
	// Rare cases: long numbers, exponents, escapes, members without a column.
	checkAllocations(t, "Observation", [][]byte{
		[]byte(`{"resourceType":"Observation","valueQuantity":{"value":81.21999999999999},"component":[{"valueQuantity":{"value":-1e-3}},{"valueQuantity":{"value":1e99}}]}`),
		[]byte(`{"resourceType":"Observation","id":"1","subject":{"reference":"Pat\u0069ent\/1","id":"x"},"extra":{"a":[1,null]},"_status":{"id":"7"},"\u0069ssued":"2026"}`),
		[]byte(`{"resourceType":"Observation","contained":[{"resourceType":"P\u0061tient","id":"\u0031"}],"extension":[{"url":"\u0075","value\u0043ode":"\u0063"},{"url":"v","extension":[{"url":"w","valueDateTime":"2026-01-01"}]}]}`),
		[]byte(`{"resourceType":"Observation","id":"1","id":"2","valueCodeableConcept":{"coding":[{"extension":[{"url":"u","valueCodeableConcept":{"coding":[{"code":"\t"}],"text":"\n"}}]}]}}`),
	})
	checkAllocations(t, "Task", [][]byte{[]byte(`{"resourceType":"Task","input":[{"valueQuantity":{"value":1.50}},{"valueString":"a\tb"},{"valueDateTime":"2026"}]}`)})
}

// checkAllocations fails if appending lines over and over allocates memory for each line.
func checkAllocations(t *testing.T, resourceType string, lines [][]byte) {
	t.Helper()
	w := NewWriter(Options{RowGroupBytes: 1 << 60, PageBytes: 1 << 30, Create: func(context.Context, string) (io.Writer, error) { return io.Discard, nil }})
	ndjson := bytes.Repeat(append(bytes.Join(lines, []byte("\n")), '\n'), 10)
	origin := &Origin{Source: "s", Feed: "f", Run: "r", File: "1.ndjson", TransactionTime: "2026-01-01T00:00:00Z"}
	n := testing.AllocsPerRun(3, func() {
		if _, err := w.Append(t.Context(), NewLines(bytes.NewReader(ndjson), 0), origin); err != nil {
			t.Fatal(err)
		}
		w.lanes[0].shares[resourceType].rows.reset()
	})
	if n > 9 { // the Lines and Append itself
		t.Errorf("%d rows of %s allocate %v times", 10*len(lines), resourceType, n)
	}
}
