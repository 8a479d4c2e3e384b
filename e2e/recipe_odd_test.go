//go:build cgo

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLatest has what file and line do not tell apart: files have one name where their
// URLs differ in their query alone.
func TestLatest(t *testing.T) {
	t.Parallel()
	file := func(rows ...lakeRow) lakeFile { return lakeFile{name: "https://payer.example/f", rows: rows} }
	for name, tt := range map[string]struct {
		runs [][]lakeFile
		want []string // marks
	}{
		"one name for two files": {[][]lakeFile{{
			file(lakeRow{"A", "2026-01-01T00:00:00Z", "stale"}, lakeRow{"C", "", "c"}),
			file(lakeRow{"B", "", "b"}, lakeRow{"D", "", "d"}, lakeRow{"A", "2026-02-01T00:00:00Z", "newest"}),
		}}, []string{"b", "c", "d", "newest"}},
		"no ids in two runs and in files of one name": {[][]lakeFile{
			{file(lakeRow{"", "", "one"}), file(lakeRow{"", "", "two"})},
			{file(lakeRow{"", "", "three"})},
		}, []string{"one", "three", "two"}},
		"the later line of one run": {[][]lakeFile{{file(lakeRow{"A", "", "first"}, lakeRow{"A", "", "second"})}}, []string{"second"}},
		"the later run whatever lastUpdated says": {[][]lakeFile{
			{file(lakeRow{"A", "2026-02-01T00:00:00Z", "old"})}, {file(lakeRow{"A", "", "new"})},
		}, []string{"new"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			setup, _ := recipes(t)
			db := recipeSession(t, dir, setup)
			for i, files := range tt.runs {
				putRun(t, db, filepath.Join(dir, "lake"), lakeRun{name: fmt.Sprintf("r%d", i), feed: "f", source: "s", files: files})
			}
			if diff := cmp.Diff(tt.want, marks(t, db, "latest('Patient')")); diff != "" {
				t.Errorf("latest (-want +DuckDB):\n%s", diff)
			}
		})
	}
}

// TestConvertTwice has rows that only their place in Parquet tells apart.
func TestConvertTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "x.ndjson"), `{"resourceType":"Patient","id":"1"}`+"\n"+`{"resourceType":"Patient"}`+"\n")
	run(t, dir, "convert", "x.ndjson", "x.ndjson", "--out", "lake")
	setup, _ := recipes(t)
	db := recipeSession(t, dir, setup)
	if got := one(t, db, "SELECT string_agg(coalesce(id, 'none'), ' ' ORDER BY id) FROM latest('Patient')"); got != "1 none none" {
		t.Errorf("latest has the ids %s, want 1 once and both rows without one", got)
	}
}
