//go:build cgo

package e2e

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
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

func glob(dir, layout string) string {
	return filepath.Join(dir, layout, "*", "kiln_source=*", "kiln_feed=*", "kiln_run=*", "*.parquet")
}

func TestDuckDBCountsTheDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	report := runReport(t, dir, "demo", "--patients", "40", "--out", "out")
	want := map[string]int64{} // the manifest's
	for _, f := range report.Files {
		want[f.Type] += *f.Count
	}
	db := openDuckDB(t)
	got := counts(t, db, fmt.Sprintf("SELECT resourceType, count(*) FROM '%s' GROUP BY 1", glob(filepath.Join(dir, "out"), report.Layout)))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows by type (-manifest +DuckDB):\n%s", diff)
	}
	if len(want) < 19 {
		t.Errorf("the demo has %d resource types, want all 19 of the population", len(want))
	}
	// The folders are partitions that hide no column.
	source := counts(t, db, fmt.Sprintf("SELECT kiln_source || '/' || kiln_feed, count(*) FROM read_parquet('%s', hive_partitioning = true) GROUP BY 1",
		glob(filepath.Join(dir, "out"), report.Layout)))
	if len(source) != 1 || source["demo/demo"] != report.Resources {
		t.Errorf("by partition: %v", source)
	}
}

// TestEveryLineByteForByte serves a folder of real NDJSON and compares what DuckDB
// reads with what is in the files.
func TestEveryLineByteForByte(t *testing.T) {
	t.Parallel()
	const folder = "../../shared/data/synthea"
	if _, err := os.Stat(folder); err != nil {
		t.Skip("needs the sample data: ", err)
	}
	data, err := bulktest.Folder(folder)
	if err != nil {
		t.Fatal(err)
	}
	_, dir := serve(t, bulktest.Options{Data: data})
	report := runReport(t, dir, "run")
	if len(report.Files) != len(data.Files()) {
		t.Errorf("%d files, want %d", len(report.Files), len(data.Files()))
	}

	want := map[string]int64{}
	names, err := filepath.Glob(folder + "/*.ndjson.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for line := range lines(t, name) {
			want[fmt.Sprintf("%x", sha256.Sum256([]byte(line)))]++
		}
	}
	got := counts(t, openDuckDB(t), fmt.Sprintf("SELECT sha256(resource), count(*) FROM '%s' GROUP BY 1", glob(filepath.Join(dir, "lake"), report.Layout)))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines by hash (-files +DuckDB):\n%s", diff)
	}
}

// lines yields the lines of a gzipped file.
func lines(t *testing.T, name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		gz, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(gz)
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
