package bulktest_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"fhirkiln/bulk/bulktest"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	b := []byte(text)
	if strings.HasSuffix(name, ".gz") {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, _ = w.Write(b)
		_ = w.Close()
		b = z.Bytes()
	}
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	texts := map[string]string{
		"1.ndjson":           "{\"id\":\"x\",\"resourceType\":\"Patient\"}\n{\"id\":\"y\"}", // no final newline
		"Claim-2.ndjson":     "\n{\"id\":\"x\"}\r\n\r\n{\"id\":\"y\"}\r\n",
		"Coverage.ndjson.gz": "{\"resourceType\":\"Coverage\"}\n",
		"Group.ndjson":       "",
	}
	for name, text := range texts {
		write(t, dir, name, text)
	}
	write(t, dir, "notes.txt", "x")
	if err := os.Mkdir(filepath.Join(dir, "sub.ndjson"), 0o700); err != nil {
		t.Fatal(err)
	}
	data, err := bulktest.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, bulktest.Options{Data: data})
	for range 2 { // the second time with the counts of the first
		m := c.export("/$export", "")
		var got []string
		for _, f := range m.Output {
			got = append(got, fmt.Sprintf("%s %d %q", f.Type, f.Count, c.get(f.URL).body))
		}
		want := []string{
			fmt.Sprintf("Patient 2 %q", texts["1.ndjson"]),
			fmt.Sprintf("Claim 2 %q", texts["Claim-2.ndjson"]),
			fmt.Sprintf("Coverage 1 %q", texts["Coverage.ndjson.gz"]),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFolderErrors(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	empty, nameless, broken := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, nameless, "1.ndjson", "{}\n")
	if err := os.WriteFile(filepath.Join(broken, "Patient.ndjson.gz"), []byte("no gzip, surely"), 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		missing:  missing,
		empty:    empty,
		nameless: filepath.Join(nameless, "1.ndjson"),
		broken:   filepath.Join(broken, "Patient.ndjson.gz"),
	} {
		if _, err := bulktest.Folder(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestSynthea exports Synthea's data and checks that every line arrives unchanged.
func TestSynthea(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "..", "shared", "data", "synthea")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("needs Synthea data: %v", err)
	}
	data, err := bulktest.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, bulktest.Options{Data: data})
	m := c.export("/$export", "")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Output) != len(entries) {
		t.Fatalf("%d files of %d", len(m.Output), len(entries))
	}
	for i, f := range m.Output {
		raw, err := os.ReadFile(filepath.Join(dir, entries[i].Name()))
		if err != nil {
			t.Fatal(err)
		}
		want := gunzip(t, raw)
		if got := gunzip(t, c.get(f.URL, "Accept-Encoding", "gzip").body); got != want || f.Count != strings.Count(want, "\n") {
			t.Errorf("%s: %d bytes and a count of %d", entries[i].Name(), len(got), f.Count)
		}
	}
	// A filter that has to read every line and keeps them all.
	const some = "/$export?_type=Patient,Claim,Provenance"
	m = c.export(some, "")
	filtered := c.export(some+"&_until=2100-01-01", "")
	if len(filtered.Output) != 3 {
		t.Fatalf("output %+v", filtered.Output)
	}
	for i, f := range filtered.Output {
		if f.Count != m.Output[i].Count || !bytes.Equal(c.get(f.URL).body, c.get(m.Output[i].URL).body) {
			t.Errorf("%s is not the same under a filter that keeps all", f.Type)
		}
	}
}
