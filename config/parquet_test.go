package config_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
	"fhirkiln/config"
)

// TestCompressionLevels checks the compressions and levels that the file may have against those
// of columnar.
func TestCompressionLevels(t *testing.T) {
	t.Parallel()
	var codecs []columnar.Codec
	for _, c := range config.Compressions() {
		codecs = append(codecs, columnar.Codec(c))
	}
	slices.Sort(codecs)
	if diff := cmp.Diff(columnar.Codecs(), codecs); diff != "" {
		t.Errorf("the config has other compressions than columnar (-columnar +config):\n%s", diff)
	}
	for _, codec := range codecs {
		for level := 1; level < 30; level++ {
			_, err := parse(fmt.Sprintf("%s  parquet: {compression: %s, compression_level: %d}\n", minimal, codec, level), "")
			if wrong := codec.Check(level); (err == nil) != (wrong == nil) {
				t.Errorf("%s %d: the config says %v, columnar %v", codec, level, err, wrong)
			}
		}
	}
}
