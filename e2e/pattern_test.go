//go:build cgo

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCommandsWithTombstones runs the DuckDB commands shown by the README and convert on a lake
// with tombstones, which are not resources.
func TestCommandsWithTombstones(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "x.ndjson"), `{"resourceType":"Patient","id":"1"}`+"\n"+`{"resourceType":"Coverage","id":"1"}`+"\n")
	printed := run(t, dir, "convert", "x.ndjson", "--out", "fhirkiln-demo")
	db := session(t)
	published := publishedRun(t, filepath.Join(dir, "fhirkiln-demo"))
	published.files = []lakeFile{{name: "deleted", deleted: []string{"2", "3"}}}
	putRun(t, db, filepath.Join(dir, "fhirkiln-demo"), published)
	runScript(t, db, "SET file_search_path = '"+dir+"'")
	for name, text := range map[string]string{"README.md": string(readme), "convert": printed} {
		command := regexp.MustCompile(`duckdb -c "(SELECT resourceType.*)"`).FindStringSubmatch(text)
		if command == nil {
			t.Errorf("%s has no command for DuckDB", name)
			continue
		}
		if diff := cmp.Diff(map[string]int64{"Patient": 1, "Coverage": 1}, counts(t, db, command[1])); diff != "" {
			t.Errorf("%s (-resources +DuckDB):\n%s", name, diff)
		}
	}
}

// publishedRun returns the only run with a Patient in a lake.
func publishedRun(t *testing.T, lake string) lakeRun {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(lake, lakeRun{name: "*", feed: "*", source: "*"}.folder("Patient")))
	if err != nil || len(folders) != 1 {
		t.Fatalf("%s has %d runs, want 1 (%v)", lake, len(folders), err)
	}
	steps := strings.Split(filepath.ToSlash(folders[0]), "/")
	value := func(fromEnd int) string { _, v, _ := strings.Cut(steps[len(steps)-fromEnd], "="); return v }
	return lakeRun{name: value(1), feed: value(2), source: value(3)}
}
