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
	"fhirkiln/pipeline/views"
)

// TestCurrentPage runs the queries of docs/current.md on two nights, and compares the results
// with those that the page shows.
func TestCurrentPage(t *testing.T) {
	t.Parallel()
	db := session(t)
	dir := t.TempDir()
	first := lakeRun{name: "r1", feed: "members", source: "bison"}
	putNDJSON(t, dir, first, "2026-11-21T02:00:00Z",
		`{"resourceType":"Patient","id":"1","meta":{"lastUpdated":"2026-11-20T22:00:00Z"},"name":[{"family":"Okafor"}]}`,
		`{"resourceType":"Patient","id":"2","name":[{"family":"Lind"}]}`,
		`{"resourceType":"Patient","id":"3","name":[{"family":"Moreau"}]}`,
		`{"resourceType":"Coverage","id":"1","status":"active","beneficiary":{"reference":"Patient/1"}}`,
		`{"resourceType":"Coverage","id":"2","status":"active","beneficiary":{"reference":"Patient/2"}}`)
	second := lakeRun{name: "r2", feed: "members", source: "bison",
		files: []lakeFile{{name: "deleted", transactionTime: "2026-11-22T02:00:00Z", deleted: []string{"2"}}}}
	putRun(t, db, dir, second)
	putNDJSON(t, dir, second, "2026-11-22T02:00:00Z",
		`{"resourceType":"Patient","id":"1","meta":{"lastUpdated":"2026-11-21T23:15:00Z"},"name":[{"family":"Eze"}]}`)
	object := &feedObject{Version: 1, Feed: "members", Source: "bison", Runs: []feedRun{
		{Run: "r1", Published: "2026-11-21T02:10:00Z", TransactionTime: "2026-11-21T02:00:00Z", Kind: "full", Status: "published"},
		{Run: "r2", Published: "2026-11-22T02:10:00Z", TransactionTime: "2026-11-22T02:00:00Z", Kind: "incremental", Status: "published"},
	}}
	object.put(t, dir)
	makeViews(t, db, views.Options{Root: dir, Types: []string{"Coverage", "Patient"}, Tombstones: true})

	asked := 0
	blocks := fences(t, "current.md")
	for i, b := range blocks {
		if b.info != "sql duckdb" {
			continue
		}
		asked++
		names, rows := table(t, db, b.body)
		if diff := cmp.Diff(blocks[i+1].body, drawn(names, rows, 0, false)); diff != "" {
			t.Errorf("current.md:%d (-page +DuckDB):\n%s", b.line, diff)
		}
	}
	if asked != 6 {
		t.Errorf("%d queries were found", asked)
	}
}

// TestViewsOfOneName has a type whose name differs from another's only in case. No other type
// loses its views because of it.
func TestViewsOfOneName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "x.ndjson"), strings.Join([]string{`{"resourceType":"Patient","id":"1"}`,
		`{"resourceType":"PATIENT","id":"2"}`, `{"resourceType":"Coverage","id":"3"}`, ""}, "\n"))
	run(t, dir, "convert", "x.ndjson", "--out", "lake")
	cmd := fhirkiln(t.Context(), t, dir, "sql", "lake", "--engine", "duckdb")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	script, err := cmd.Output()
	if err != nil || !strings.Contains(stderr.String(), "type=PATIENT other=Patient") {
		t.Errorf("sql: %v, and it says %q", err, &stderr)
	}
	db := session(t)
	runScript(t, db, string(script))
	for view, want := range map[string]string{"current_Patient": "1", "current_Coverage": "3"} {
		if got := one(t, db, "SELECT string_agg(id) FROM "+view); got != want {
			t.Errorf("%s has %s, want %s", view, got, want)
		}
	}
}

// putNDJSON writes lines as parts of a run, one for each type.
func putNDJSON(t *testing.T, dir string, r lakeRun, transactionTime string, lines ...string) {
	t.Helper()
	var parts []*os.File
	w := columnar.NewWriter(columnar.Options{Create: func(_ context.Context, typ string) (io.Writer, error) {
		folder := filepath.Join(dir, r.folder(typ))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		part, err := os.Create(filepath.Join(folder, "p1.parquet"))
		parts = append(parts, part)
		return part, err
	}})
	origin := &columnar.Origin{Source: r.source, Feed: r.feed, Run: r.name, File: "file", TransactionTime: transactionTime}
	if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(strings.Join(lines, "\n")+"\n"), 0), origin); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		if err := part.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
