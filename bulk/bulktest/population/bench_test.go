package population_test

import (
	"io"
	"testing"

	"fhirkiln/bulk/bulktest/population"
)

func BenchmarkRender(b *testing.B) {
	w := population.New(population.Options{Seed: 1, Patients: 300})
	for _, typ := range []string{"ExplanationOfBenefit", "Claim", "Observation", "Patient", "AllergyIntolerance"} {
		b.Run(typ, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := w.Open(typ, 0, 300)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, r)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var n int64
			for _, f := range w.Files() {
				r, err := f.Open()
				if err != nil {
					b.Fatal(err)
				}
				m, err := io.Copy(io.Discard, r)
				if err != nil {
					b.Fatal(err)
				}
				n += m
			}
			b.SetBytes(n)
		}
	})
}

// The time to compute the counts of a world, per patient.
func BenchmarkFiles(b *testing.B) {
	b.ReportAllocs()
	population.New(population.Options{Seed: 1, Patients: b.N}).Files()
}
