package columnar

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"fhirkiln/bulk/bulktest/population"
)

// benchmarkTypes have very different shapes: many columns, few columns, long texts.
var benchmarkTypes = []string{"ExplanationOfBenefit", "Observation", "Claim", "Encounter", "Patient", "DocumentReference"}

// sample returns NDJSON of one type: at least size bytes, if there are that many.
func sample(b *testing.B, resourceType string, size int) []byte {
	b.Helper()
	const people = 2000
	world := population.New(population.Options{Seed: 1, Patients: people})
	var all []byte
	for n := 0; n < people && len(all) < size; n++ {
		all = append(all, NDJSONOf(b, world, resourceType, n, n+1)...)
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

// BenchmarkAppend is the whole way to Parquet: scanning, shredding, encoding.
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

// BenchmarkOneFile converts a large file on all cores. Run it with -cpu 1,2,4.
func BenchmarkOneFile(b *testing.B) {
	for _, name := range benchmarkTypes[:2] {
		b.Run(name, func(b *testing.B) {
			data := sample(b, name, 4<<20)
			const times = 40
			b.SetBytes(times * int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				w := NewWriter(Options{Create: func(context.Context, string) (io.Writer, error) { return io.Discard, nil },
					Cores: NewCores(runtime.GOMAXPROCS(0) - 1)})
				var file []io.Reader
				for range times {
					file = append(file, bytes.NewReader(data))
				}
				if _, err := w.Append(b.Context(), NewLines(io.MultiReader(file...), 0), &Origin{File: "1.ndjson"}); err != nil {
					b.Fatal(err)
				}
				if _, err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// shredBytes is how much is shredded before the row group starts over: a fraction of a real row
// group. With less, dictionaries would never grow beyond their beginnings.
const shredBytes = 8 << 20

// BenchmarkShred measures scanning and shredding alone: the rows are thrown away. It counts
// allocations per resource.
func BenchmarkShred(b *testing.B) {
	for _, name := range benchmarkTypes {
		b.Run(name, func(b *testing.B) {
			data := sample(b, name, shredBytes)
			w := NewWriter(Options{RowGroupBytes: 1 << 60, PageBytes: 1 << 30, Create: func(context.Context, string) (io.Writer, error) { return io.Discard, nil }})
			origin := &Origin{Source: "s", Feed: "f", Run: "r", File: "1.ndjson"}
			shred := func() int64 {
				read, err := w.Append(b.Context(), NewLines(bytes.NewReader(data), 0), origin)
				if err != nil {
					b.Fatal(err)
				}
				w.lanes[0].shares[name].rows.reset()
				return read.Resources
			}
			shred() // so that its memory has grown
			b.SetBytes(int64(len(data)))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			resources := int64(0)
			for b.Loop() {
				resources += shred()
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(resources), "allocs/resource")
		})
	}
}

// BenchmarkTokens measures jsontext reading the same, for comparison.
func BenchmarkTokens(b *testing.B) {
	for _, name := range benchmarkTypes {
		b.Run(name, func(b *testing.B) {
			data := sample(b, name, shredBytes)
			b.SetBytes(int64(len(data)))
			d := new(jsontext.Decoder)
			for b.Loop() {
				d.Reset(bytes.NewReader(data))
				for {
					_, err := d.ReadToken()
					if err == io.EOF {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
				}
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
