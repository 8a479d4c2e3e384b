package columnar_test

import (
	"io"
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest/population"
	"fhirkiln/columnar"
)

// What a part costs before its first row: nightly runs have many small ones.
func TestOneRowSize(t *testing.T) {
	t.Parallel()
	world := population.New(population.Options{Seed: 7, Patients: 3})
	for name, most := range map[string]int64{"Patient": 30_000, "Observation": 68_000, "ExplanationOfBenefit": 155_000} {
		r, err := world.Open(name, 0, 3)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(all), "\n")
		part := roundTrip(t, columnar.Options{}, line)[0]
		t.Logf("a file of one %s has %d bytes", name, part.Bytes)
		if part.Bytes > most {
			t.Errorf("a file of one %s has %d bytes, more than %d", name, part.Bytes, most)
		}
	}
}
