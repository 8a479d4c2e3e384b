//go:build cgo

package e2e

import (
	"compress/gzip"
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

// TestCurrentPages runs the queries of docs/current.md and docs/payers.md on two nights, and
// compares the results with those that the pages show.
func TestCurrentPages(t *testing.T) {
	t.Parallel()
	db := session(t)
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	first := lakeRun{name: "r1", feed: "members", source: "bison"}
	putNDJSON(t, lake, first, "2026-11-21T02:00:00Z",
		`{"resourceType":"Patient","id":"1","meta":{"lastUpdated":"2026-11-20T22:00:00Z"},"name":[{"family":"Okafor"}]}`,
		`{"resourceType":"Patient","id":"2","name":[{"family":"Lind"}]}`,
		`{"resourceType":"Patient","id":"3","name":[{"family":"Moreau"}]}`,
		`{"resourceType":"Coverage","id":"1","status":"active","beneficiary":{"reference":"Patient/1"}}`,
		`{"resourceType":"Coverage","id":"2","status":"active","beneficiary":{"reference":"Patient/2"}}`)
	second := lakeRun{name: "r2", feed: "members", source: "bison",
		files: []lakeFile{{name: "deleted", transactionTime: "2026-11-22T02:00:00Z", deleted: []string{"2"}}}}
	putRun(t, db, lake, second)
	putNDJSON(t, lake, second, "2026-11-22T02:00:00Z",
		`{"resourceType":"Patient","id":"1","meta":{"lastUpdated":"2026-11-21T23:15:00Z"},"name":[{"family":"Eze"}]}`)
	object := &feedObject{Version: 1, Feed: "members", Source: "bison", Runs: []feedRun{
		{Run: "r1", Published: "2026-11-21T02:10:00Z", TransactionTime: "2026-11-21T02:00:00Z", Kind: "full", Status: "published"},
		{Run: "r2", Published: "2026-11-22T02:10:00Z", TransactionTime: "2026-11-22T02:00:00Z", Kind: "incremental", Status: "published"},
	}}
	for _, run := range []string{"r1", "r2"} {
		object.Members = "_fhirkiln/runs/" + run + "/members.ndjson.gz"
		putMembers(t, filepath.Join(lake, object.Members), `{"id":"1","last":"2026-11-22T02:00:00Z"}`,
			`{"id":"2","last":"2026-11-21T02:00:00Z","left":true}`)
	}
	object.put(t, lake)
	makeViews(t, db, views.Options{Root: lake, Types: []string{"Coverage", "Patient"}, Tombstones: true})
	runScript(t, db, "SET file_search_path = '"+dir+"'; CREATE TABLE hidden AS SELECT 'bison' AS kiln_id_space, '2' AS id")

	for page, want := range map[string]int{"current.md": 6, "payers.md": 2} {
		asked := 0
		blocks := fences(t, page)
		for i, b := range blocks {
			if b.info != "sql duckdb" || b.heading == auditHeading {
				continue
			}
			asked++
			names, rows := table(t, db, b.body)
			if diff := cmp.Diff(blocks[i+1].body, drawn(names, rows, 0, false)); diff != "" {
				t.Errorf("%s:%d (-page +DuckDB):\n%s", page, b.line, diff)
			}
		}
		if asked != want {
			t.Errorf("%s: %d queries were found", page, asked)
		}
	}
}

// putMembers writes a feed's list of members.
func putMembers(t *testing.T, name string, lines ...string) {
	t.Helper()
	var list strings.Builder
	packed := gzip.NewWriter(&list)
	if _, err := packed.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, name, list.String())
}

const auditHeading = "From a row to its file"

// TestAuditQuery finds the file of a row of the demo's lake in the run's report.
func TestAuditQuery(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, dir, "demo", "--patients", "200", "--seed", "1", "--out", "lake")
	db := session(t)
	runScript(t, db, "SET file_search_path = '"+dir+"'")
	runScript(t, db, run(t, dir, "sql", "lake", "--engine", "duckdb"))
	for _, b := range fences(t, "payers.md") {
		if b.info != "sql duckdb" || b.heading != auditHeading {
			continue
		}
		_, rows := table(t, db, b.body)
		if len(rows) != 1 || len(rows[0][5]) != 32 || !strings.Contains(rows[0][3], "…") {
			t.Errorf("payers.md:%d: %v", b.line, rows)
		}
		return
	}
	t.Error("payers.md has no such query")
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
