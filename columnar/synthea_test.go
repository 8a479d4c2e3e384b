package columnar_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"fhirkiln/columnar"
)

// generated returns n lines of Patients of about 600 bytes, all of them different.
func generated(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"%08x-%04x","meta":{"versionId":"%d","lastUpdated":"2026-%02d-%02dT03:04:05.678+00:00",`+
			`"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]},`+
			`"identifier":[{"system":"https://payer.example/members","value":"M%09d"},{"system":"http://hl7.org/fhir/sid/us-ssn","value":"999-%02d-%04d"}],`+
			`"name":[{"use":"official","family":"Family%d","given":["Given%d","Middle%d"]}],"gender":"female","birthDate":"19%02d-%02d-%02d",`+
			`"address":[{"line":["%d Main Street"],"city":"Springfield","state":"MA","postalCode":"%05d","country":"US"}],"multipleBirthInteger":%d}`+"\n",
			uint32(i)*2654435761, i%65536, i%5+1, i%12+1, i%28+1, i, i%100, i%10_000, i%997, i%313, i%101, i%90+10, i%12+1, i%28+1, i%1999, i%99_999, i%4)
	}
	return b.String()
}

// Every line of real data comes back byte for byte.
func TestSynthea(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../shared/data/synthea/*.ndjson.gz")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("there is no data in ../shared/data of the project's root")
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			// Small parts, so that a file takes several, one after the other.
			lines := reread(t, name)
			parts, read := convert(t, columnar.Options{TargetBytes: 100_000, RowGroupBytes: 1 << 20}, unzipped(t, name))
			if read.Resources != int64(len(lines)) {
				t.Errorf("%d resources were read, not %d", read.Resources, len(lines))
			}
			resourceType, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(name), ".ndjson.gz"), "-")
			all := byType(t, parts)
			got := all[resourceType]
			if len(all) != 1 || len(got) != len(lines) {
				t.Fatalf("%d types, and %d rows of %s for %d lines", len(all), len(got), resourceType, len(lines))
			}
			for i := range lines {
				if got[i] != lines[i] {
					t.Fatalf("line %d came back as another one", i+1)
				}
			}
		})
	}
}

// reread reads a file's lines by other means than the package's.
func reread(t *testing.T, name string) []string {
	t.Helper()
	s := bufio.NewScanner(unzipped(t, name))
	s.Buffer(nil, 16<<20)
	var lines []string
	for s.Scan() {
		if s.Text() != "" {
			lines = append(lines, s.Text())
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func unzipped(t *testing.T, name string) *gzip.Reader {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func BenchmarkAppend(b *testing.B) {
	input := generated(2000)
	b.SetBytes(int64(len(input)))
	b.ReportAllocs()
	for b.Loop() {
		parts, read := convert(b, columnar.Options{}, strings.NewReader(input))
		if len(parts) != 1 || read.Resources != 2000 {
			b.Fatal(parts, read)
		}
	}
}
