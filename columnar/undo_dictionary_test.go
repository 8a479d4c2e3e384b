package columnar_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

// Values of refused lines do not count when a dictionary is judged by how many values are new.
func TestSpoiledLinesDoNotCount(t *testing.T) {
	t.Parallel()
	var good, all []string
	for i := range 6000 {
		line := fmt.Sprintf(`{"resourceType":"Patient","name":[{"given":["given-%d"]}]}`, i)
		good = append(good, line)
		all = append(all, line)
		if i >= 1000 && i < 4000 {
			all = append(all, strings.TrimSuffix(good[i%1000], "}"))
		}
	}
	write := func(lines []string) []byte {
		files := memory{}
		w := columnar.NewWriter(columnar.Options{Create: files.create, PageBytes: 5000,
			Quarantine: func(context.Context, columnar.Quarantined) error { return nil }})
		if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(ndjson(lines...)), 0), nil); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(files.finish(t, w)[0].parquet)
	}
	if !bytes.Equal(write(good), write(all)) {
		t.Error("lines that are refused change the part of the others")
	}
}
