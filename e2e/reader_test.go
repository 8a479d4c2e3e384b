//go:build cgo

package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

// fence is a fenced block of a page in docs/.
type fence struct {
	heading string // the nearest one above it
	info    string // after the opening fence, such as "sql duckdb"
	body    string // without the fences; ends with a newline
	line    int    // of the page, where the body begins
}

// fences returns the fenced blocks of a page, in order.
func fences(t *testing.T, page string) []fence {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var all []fence
	var heading string
	var open *fence
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		mark, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &fence{heading: heading, info: strings.TrimSpace(mark), line: n + 1}
		case isFence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.body += line
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	if open != nil {
		t.Fatalf("the block at %s:%d has no end", page, open.line)
	}
	return all
}

// session opens a DuckDB with one connection, so that settings hold for all queries.
func session(t *testing.T) *sql.DB {
	t.Helper()
	db := openDuckDB(t)
	db.SetMaxOpenConns(1)
	runScript(t, db, "SET TimeZone = 'UTC'")
	return db
}

// table runs a query and returns its column names and its rows, with all values as text and null
// as NULL.
func table(t *testing.T, db *sql.DB, query string) (names []string, rows [][]string) {
	t.Helper()
	query = strings.TrimRight(query, "; \n")
	result, err := db.QueryContext(t.Context(), "SELECT COLUMNS(*)::VARCHAR FROM (\n"+query+"\n)")
	if err != nil {
		t.Fatalf("%v in\n%s", err, query)
	}
	defer result.Close()
	if names, err = result.Columns(); err != nil {
		t.Fatal(err)
	}
	for result.Next() {
		values := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := result.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := make([]string, len(names))
		for i, v := range values {
			if row[i] = v.String; !v.Valid {
				row[i] = "NULL"
			}
		}
		rows = append(rows, row)
	}
	if err := result.Err(); err != nil {
		t.Fatalf("%v in\n%s", err, query)
	}
	return names, rows
}

// one runs a query with a single value, and returns it as text.
func one(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	_, rows := table(t, db, query)
	if len(rows) != 1 || len(rows[0]) != 1 {
		t.Fatalf("%d rows, want one value, of\n%s", len(rows), query)
	}
	return rows[0][0]
}

// partFile writes NDJSON as one part, with row groups of rowGroupBytes of NDJSON, and returns the
// part's name.
func partFile(t *testing.T, ndjson string, rowGroupBytes int64) string {
	t.Helper()
	var part bytes.Buffer
	created := 0
	w := columnar.NewWriter(columnar.Options{RowGroupBytes: rowGroupBytes, Create: func(context.Context, string) (io.Writer, error) {
		created++
		return &part, nil
	}})
	if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(ndjson), 0), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if created != 1 {
		t.Fatalf("%d parts, want 1", created)
	}
	name := filepath.Join(t.TempDir(), "part.parquet")
	writeFile(t, name, part.String())
	return name
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// partsOf returns DuckDB's table function over a resource type's parts in a folder written by
// fhirkiln.
func partsOf(dir, resourceType string) string {
	return fmt.Sprintf("read_parquet('%s', hive_partitioning = true, hive_types_autocast = false)",
		filepath.Join(dir, columnar.LayoutPath, resourceType, "*", "*", "*", "*.parquet"))
}
