//go:build cgo

package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
)

func openDuckDB(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// counts runs a query of (text, number).
func counts(t *testing.T, db *sql.DB, query string) map[string]int64 {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		all[name] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func glob(dir string) string {
	return filepath.Join(dir, columnar.LayoutPath, "*", "kiln_source=*", "kiln_feed=*", "kiln_run=*", "*.parquet")
}

func TestDuckDBCountsTheDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	report := runReport(t, dir, "demo", "--patients", "40", "--out", "out")
	want := map[string]int64{} // from the manifest
	for _, f := range report.Files {
		want[f.Type] += *f.Count
	}
	db := openDuckDB(t)
	got := counts(t, db, fmt.Sprintf("SELECT resourceType, count(*) FROM '%s' GROUP BY 1", glob(filepath.Join(dir, "out"))))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows by type (-manifest +DuckDB):\n%s", diff)
	}
	if len(want) < 19 {
		t.Errorf("the demo has %d resource types, want all 19 of the population", len(want))
	}
	// The folders are partitions, and hide no column.
	source := counts(t, db, fmt.Sprintf("SELECT kiln_source || '/' || kiln_feed, count(*) FROM read_parquet('%s', hive_partitioning = true) GROUP BY 1",
		glob(filepath.Join(dir, "out"))))
	if len(source) != 1 || source["demo/demo"] != report.Resources {
		t.Errorf("by partition: %v", source)
	}
}

// TestDuckDBReadsEveryColumn has DuckDB read every value of every column.
func TestDuckDBReadsEveryColumn(t *testing.T) {
	t.Parallel()
	t.Run("of a population", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		readsEveryColumn(t, dir, runReport(t, dir, "demo", "--patients", "40", "--out", "lake"), 19)
	})
	t.Run("of real NDJSON", func(t *testing.T) {
		t.Parallel()
		data := sampleData(t)
		dir := t.TempDir()
		readsEveryColumn(t, dir, runReport(t, dir, "convert", data, "--out", "lake"), 1)
	})
}

// readsEveryColumn reads the parts of a run in dir/lake. There must be at least that many types.
func readsEveryColumn(t *testing.T, dir string, report *lake.Report, types int) {
	t.Helper()
	db := openDuckDB(t)
	read := map[string]bool{}
	for _, p := range report.Parts {
		name := filepath.Join(dir, "lake", p.Key)
		for _, query := range []string{
			"SELECT any_value(resourceType), count(*) FROM '%s'",
			// Hashing a whole row makes DuckDB decode all of it. No two rows are equal, since
			// __origin has the line.
			"SELECT resourceType, count(DISTINCT hash(t)) FROM '%s' t GROUP BY 1",
		} {
			got := counts(t, db, fmt.Sprintf(query, name))
			if diff := cmp.Diff(map[string]int64{p.Type: p.Rows}, got); diff != "" {
				t.Errorf("%s: %s (-report +DuckDB):\n%s", p.Key, query, diff)
			}
		}
		read[p.Type] = true
	}
	if len(read) < types {
		t.Errorf("parts of %d types were read, want %d", len(read), types)
	}
}
