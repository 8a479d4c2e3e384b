package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

// convertFiles converts files of lines, one after the other.
func convertFiles(t *testing.T, files map[string][]string) (*lake.Report, error) {
	t.Helper()
	folder := t.TempDir()
	for name, lines := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := pipeline.FindFiles(nil, folder)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, bulktest.Options{})
	w.Server, w.Workers = nil, 1
	return pipeline.Convert(t.Context(), found, w.Options)
}

// Local files with mixed types share parts, whatever type each begins with.
func TestConvertOfMixedFiles(t *testing.T) {
	t.Parallel()
	types := []string{"Patient", "Observation", "Condition", "Device", "Encounter"}
	files := map[string][]string{}
	for i := range 20 {
		name := fmt.Sprintf("%d.ndjson", i)
		for n := range types {
			files[name] = append(files[name], resource(types[(i+n)%len(types)], i))
		}
	}
	report, err := convertFiles(t, files)
	if err != nil {
		t.Fatal(err)
	}
	if report.Resources != 100 || len(report.Parts) != len(types) {
		t.Errorf("%d resources are in %d parts", report.Resources, len(report.Parts))
	}
	for _, typ := range report.Types {
		if typ.Rows != 20 || typ.Strays > 0 {
			t.Errorf("%s has %d rows, %d of them strays", typ.Type, typ.Rows, typ.Strays)
		}
	}
}

// There is room for a part of each of a file's types besides the parts that are open.
func TestConvertOfMixedFilesOfManyTypes(t *testing.T) {
	t.Parallel()
	madeUp := func(prefix string, n int) (lines []string) {
		for i := range n {
			lines = append(lines, fmt.Sprintf(`{"resourceType":"%s%c%c","id":"1"}`, prefix, 'a'+i/26, 'a'+i%26))
		}
		return lines
	}
	report, err := convertFiles(t, map[string][]string{
		"a.ndjson": append([]string{resource("Patient", 1), resource("Observation", 1)}, madeUp("A", 200)...),
		"b.ndjson": append([]string{resource("Observation", 1)}, madeUp("B", 100)...),
	})
	if err != nil || report.Resources != 303 {
		t.Errorf("%d resources, %v", report.Resources, err)
	}
}

// A file made by zstd --long=28 is not a damaged one, and fetching it again does not help.
func TestConvertOfAWideWindow(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed, zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	for range 3000 { // more than a block, since a small file has no window
		if _, err := z.Write([]byte(strings.Join(resources("Patient", 0, 10), "\n") + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	const descriptor, mib256 = 5, 18 << 3 // RFC 8878 3.1.1.1.2
	packed.Bytes()[descriptor] = mib256
	_, err = convertFiles(t, map[string][]string{"Patient.ndjson.zst": {packed.String()}})
	if _, ok := errors.AsType[*pipeline.WindowError](err); !ok {
		t.Errorf("got %v", err)
	}
}
