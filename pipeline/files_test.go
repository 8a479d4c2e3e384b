package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
)

// Local files in which types are mixed share parts, whatever each begins with.
func TestConvertOfMixedFiles(t *testing.T) {
	t.Parallel()
	types := []string{"Patient", "Observation", "Condition", "Device", "Encounter"}
	folder := t.TempDir()
	for i := range 20 {
		var lines []string
		for n := range types {
			lines = append(lines, resource(types[(i+n)%len(types)], i))
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.ndjson", i)), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := pipeline.FindFiles(nil, folder)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, bulktest.Options{})
	w.Server, w.Workers = nil, 1
	report, err := pipeline.Convert(t.Context(), files, w.Options)
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

// A part for each type of a file has room beside those that are open.
func TestConvertOfMixedFilesOfManyTypes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, types := range map[string]int{"A": 200, "B": 100} {
		lines := []string{resource("Observation", 1)}
		if name == "A" {
			lines = slices.Insert(lines, 0, resource("Patient", 1))
		}
		for i := range types {
			lines = append(lines, fmt.Sprintf(`{"resourceType":"%s%c%c","id":"1"}`, name, 'a'+i/26, 'a'+i%26))
		}
		if err := os.WriteFile(filepath.Join(folder, name+".ndjson"), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := pipeline.FindFiles(nil, folder)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, bulktest.Options{})
	w.Server, w.Workers = nil, 1
	report, err := pipeline.Convert(t.Context(), files, w.Options)
	if err != nil || report.Resources != 303 {
		t.Errorf("%d resources, %v", report.Resources, err)
	}
}

// A file of zstd --long=28 is none that is damaged, and fetching it again does not help.
func TestConvertOfAWideWindow(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed, zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	for range 3000 { // more than a block, for a small file has no window
		if _, err := z.Write([]byte(strings.Join(resources("Patient", 0, 10), "\n") + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	const descriptor, mib256 = 5, 18 << 3 // RFC 8878 3.1.1.1.2
	packed.Bytes()[descriptor] = mib256
	path := filepath.Join(t.TempDir(), "Patient.ndjson.zst")
	if err := os.WriteFile(path, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := pipeline.FindFiles(nil, path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, bulktest.Options{})
	w.Server = nil
	_, err = pipeline.Convert(t.Context(), files, w.Options)
	if _, ok := errors.AsType[*pipeline.WindowError](err); !ok {
		t.Errorf("got %v", err)
	}
}
