package e2e

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"fhirkiln/bulk/bulktest"
)

// sampleData returns the folder of real NDJSON. Tests that need it are skipped if there is none.
func sampleData(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../../shared/data/synthea")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skip("needs the sample data: ", err)
	}
	return folder
}

// TestRealDataComesBack serves a folder of real NDJSON, runs fhirkiln against it with a config,
// restores what it published, and compares every resource.
func TestRealDataComesBack(t *testing.T) {
	t.Parallel()
	folder := sampleData(t)
	data, err := bulktest.Folder(folder)
	if err != nil {
		t.Fatal(err)
	}
	_, dir := serve(t, bulktest.Options{Data: data})
	report := runReport(t, dir, "run")
	if len(report.Files) != len(data.Files()) {
		t.Errorf("%d files, want %d", len(report.Files), len(data.Files()))
	}
	run(t, dir, "verify", "lake")
	run(t, dir, "restore", "lake", "--out", "back")

	var want, got []string
	names, err := filepath.Glob(folder + "/*.ndjson.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for line := range lines(t, name) {
			want = append(want, canonical(t, line))
		}
	}
	names, err = filepath.Glob(filepath.Join(dir, "back", "*.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for line := range lines(t, name) {
			got = append(got, canonical(t, line))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) != len(got) {
		t.Fatalf("%d resources came back, want %d", len(got), len(want))
	}
	for i := range want {
		if want[i] != got[i] {
			t.Fatalf("a resource came back as\n%s\nwant\n%s", got[i], want[i])
		}
	}
}

// canonical sorts members by name and removes white space. Numbers stay as written.
func canonical(t *testing.T, line string) string {
	t.Helper()
	v := jsontext.Value(line)
	err := v.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false), jsontext.AllowDuplicateNames(true))
	if err != nil {
		t.Fatal(fmt.Errorf("%w in %.100s", err, line))
	}
	return string(v)
}

// lines yields the lines of a file, which may be gzipped.
func lines(t *testing.T, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var in io.Reader = f
		if strings.HasSuffix(name, ".gz") {
			if in, err = gzip.NewReader(f); err != nil {
				t.Fatal(err)
			}
		}
		r := bufio.NewReader(in)
		for {
			line, err := r.ReadString('\n')
			if line = strings.TrimRight(line, "\r\n"); line != "" && !yield(line) {
				return
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
