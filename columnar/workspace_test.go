package columnar_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"fhirkiln/bulk/bulktest/population"
	"fhirkiln/columnar"
)

// A Writer that was reset writes what a new one does, byte for byte, whatever it was used for.
func TestResetProperty(t *testing.T) {
	t.Parallel()
	world := population.New(population.Options{Seed: 3, Patients: 8})
	var types [][]byte
	for _, f := range world.Files() {
		types = append(types, columnar.NDJSONOf(t, world, f.Type, 0, 8))
	}
	rapid.Check(t, func(t *rapid.T) {
		used := columnar.NewTombstoneWriter(columnar.Options{})
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			var odd bytes.Buffer
			drawNDJSON(t, &odd, 5, 300)
			input := slices.Concat(rapid.SampledFrom(types).Draw(t, "type"), odd.Bytes(), rapid.SampledFrom(types).Draw(t, "another type"))
			o := columnar.Options{
				TargetBytes:   rapid.SampledFrom([]int64{1, 1 << 30}).Draw(t, "target"),
				RowGroupBytes: rapid.SampledFrom([]int64{20_000, 1 << 30}).Draw(t, "row group"),
				PageBytes:     rapid.SampledFrom([]int{1000, 0}).Draw(t, "page"),
				BloomFilter:   rapid.Bool().Draw(t, "bloom filter"),
				Codec:         rapid.SampledFrom([]columnar.Codec{columnar.Zstd, columnar.Snappy}).Draw(t, "codec"),
			}
			reset := func(o columnar.Options) *columnar.Writer {
				used.Reset(o)
				return used
			}
			again := writeWith(t, reset, o, input)
			for i, p := range writeWith(t, columnar.NewWriter, o, input) {
				if !bytes.Equal(p.parquet, again[i].parquet) {
					t.Errorf("a Writer that was used before writes another part of %s", p.ResourceType)
				}
			}
		}
	})
}

// writeWith makes parts with the Writer that make returns, and ignores lines that are not
// resources.
func writeWith(t failer, make func(columnar.Options) *columnar.Writer, o columnar.Options, input []byte) []finishedPart {
	t.Helper()
	m := memory{}
	o.Create, o.Quarantine = m.create, func(context.Context, columnar.Quarantined) error { return nil }
	w := make(o)
	if _, err := w.Append(context.Background(), columnar.NewLines(bytes.NewReader(input), 0), &origin); err != nil {
		t.Fatalf("appending: %v", err)
	}
	return m.finish(t, w)
}
