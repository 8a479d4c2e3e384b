package columnar

import (
	"bytes"
	"context"
	"io"
	"testing"

	"fhirkiln/bulk/bulktest/population"
)

// benchmarkTypes are of very different shapes: many columns, few, and long texts.
var benchmarkTypes = []string{"ExplanationOfBenefit", "Observation", "Patient", "DocumentReference"}

// sample is NDJSON of one type, at least so many bytes of it if there are.
func sample(b *testing.B, resourceType string, size int) []byte {
	b.Helper()
	const people = 200
	world := population.New(population.Options{Seed: 1, Patients: people})
	var all []byte
	for n := 0; n < people && len(all) < size; n++ {
		r, err := world.Open(resourceType, n, n+1)
		if err != nil {
			b.Fatal(err)
		}
		some, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

func BenchmarkScan(b *testing.B) {
	for _, name := range benchmarkTypes {
		b.Run(name, func(b *testing.B) {
			data := sample(b, name, 1<<20)
			lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
			var s scanner
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				for _, line := range lines {
					if err := s.scan(line); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkAppend is all of the way to Parquet: scanning, shredding, encoding.
func BenchmarkAppend(b *testing.B) {
	for _, name := range benchmarkTypes {
		b.Run(name, func(b *testing.B) {
			data := sample(b, name, 4<<20)
			w := NewWriter(Options{Create: func(context.Context, string) (io.Writer, error) { return io.Discard, nil }, TargetBytes: 1 << 60})
			origin := &Origin{Source: "s", Feed: "f", Run: "r", File: "1.ndjson"}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Append(b.Context(), NewLines(bytes.NewReader(data), 0), origin); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := w.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	for _, name := range benchmarkTypes {
		b.Run(name, func(b *testing.B) {
			data := sample(b, name, 1<<20)
			var part bytes.Buffer
			w := NewWriter(Options{Create: func(context.Context, string) (io.Writer, error) { return &part, nil }})
			if _, err := w.Append(b.Context(), NewLines(bytes.NewReader(data), 0), nil); err != nil {
				b.Fatal(err)
			}
			if _, err := w.Close(); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := NewReader(bytes.NewReader(part.Bytes()), int64(part.Len()))
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = r.Next()
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}
