package columnar_test

import (
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest/population"
	"fhirkiln/columnar"
)

// What a part costs before its first row: nightly runs have many small ones.
func TestOneRowSize(t *testing.T) {
	t.Parallel()
	world := population.New(population.Options{Seed: 7, Patients: 3})
	for name, limit := range map[string]int64{"Patient": 30_000, "Observation": 68_000, "ExplanationOfBenefit": 155_000} {
		line, _, _ := strings.Cut(string(columnar.NDJSONOf(t, world, name, 0, 3)), "\n")
		part := roundTrip(t, columnar.Options{}, line)[0]
		t.Logf("a file of one %s has %d bytes", name, part.Bytes)
		if part.Bytes > limit {
			t.Errorf("a file of one %s has %d bytes, more than %d", name, part.Bytes, limit)
		}
	}
}
