//go:build cgo

package e2e

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

// TestTombstones makes tombstones from the example in docs/layout.md, and has DuckDB read them
// together with resources.
func TestTombstones(t *testing.T) {
	t.Parallel()
	var example string
	for _, b := range fences(t, "layout.md") {
		if b.heading == "Deleted resources" {
			example = b.body
		}
	}
	part := filepath.Join(t.TempDir(), "deleted.parquet")
	out, err := os.Create(part)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := columnar.NewTombstoneWriter(columnar.Options{Create: func(_ context.Context, resourceType string) (io.Writer, error) {
		if resourceType != "deleted" {
			t.Errorf("a part of %s", resourceType)
		}
		return out, nil
	}})
	origin := &columnar.Origin{Source: "bison", Feed: "members", Run: "r2", File: "1.ndjson", TransactionTime: "2026-01-02T03:04:05Z"}
	if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(example), 0), origin); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	patients := partFile(t, `{"resourceType":"Patient","id":"1"}`, 0)
	_, rows := table(t, session(t), `
SELECT resourceType, id, __residual, __origin.line, __origin.transactionTime FROM '`+part+`'
UNION ALL BY NAME
SELECT resourceType, id, __residual, __origin.line, __origin.transactionTime FROM '`+patients+`'
ORDER BY 1, 2, 5 NULLS FIRST`)
	want := [][]string{
		{"Claim", "2", `{"/entry/0/fullUrl":"urn:a"}`, "1", "2026-01-02T03:04:05Z"},
		{"Patient", "1", "NULL", "NULL", "NULL"},
		{"Patient", "1", "NULL", "1", "2026-01-02T03:04:05Z"},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +DuckDB):\n%s", diff)
	}
	// Both have the same fields in __origin, so a union works.
	if got := one(t, session(t), "SELECT count(DISTINCT __origin) FROM (SELECT __origin FROM '"+part+"' UNION ALL SELECT __origin FROM '"+patients+"')"); got == "0" {
		t.Error("there is no __origin")
	}
}
