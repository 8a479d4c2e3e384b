package config_test

import (
	"fmt"
	"testing"

	"fhirkiln/columnar"
)

// TestCompressionLevels checks the levels that the file may have against those of columnar.
func TestCompressionLevels(t *testing.T) {
	t.Parallel()
	for _, codec := range []columnar.Codec{columnar.Zstd, columnar.Snappy, columnar.Gzip, columnar.None} {
		for level := 1; level < 30; level++ {
			_, err := parse(fmt.Sprintf("%s  parquet: {compression: %s, compression_level: %d}\n", minimal, codec, level), "")
			if wrong := codec.Check(level); (err == nil) != (wrong == nil) {
				t.Errorf("%s %d: the config says %v, columnar %v", codec, level, err, wrong)
			}
		}
	}
}
