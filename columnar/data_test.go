package columnar_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest/population"
	"fhirkiln/columnar"
)

// Synthetic data of realistic size and shape comes back.
func TestPopulation(t *testing.T) {
	t.Parallel()
	world := population.New(population.Options{Seed: 7, Patients: 12})
	for _, f := range world.Files() {
		t.Run(f.Type, func(t *testing.T) {
			t.Parallel()
			r, err := world.Open(f.Type, 0, 12)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			checkFile(t, r)
		})
	}
}

// Every line of the sample data comes back.
func TestSynthea(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../shared/data/synthea/*.ndjson.gz")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("there is no data in ../shared/data of the project's root")
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			z, err := gzip.NewReader(f)
			if err != nil {
				t.Fatal(err)
			}
			checkFile(t, z)
		})
	}
}

// checkFile converts a file into several small parts, and checks that its resources come back.
func checkFile(t *testing.T, r io.Reader) {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
	parts := roundTrip(t, columnar.Options{TargetBytes: 200_000, RowGroupBytes: 2 << 20}, lines...)
	check(t, parts[0])
}
