package columnar

import (
	"io"
	"testing"

	"fhirkiln/bulk/bulktest/population"
)

// NDJSONOf returns the resources of a type that belong to the people from one index up to another.
func NDJSONOf(t testing.TB, world *population.World, resourceType string, from, to int) []byte {
	t.Helper()
	r, err := world.Open(resourceType, from, to)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
