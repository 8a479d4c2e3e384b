//go:build cgo

package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// recipe is a query of docs/query.md for DuckDB.
type recipe struct {
	heading string
	number  int // among those under the heading, from 1
	sql     string
	line    int    // of the page
	result  string // as shown on the page, "" if none
}

func (r recipe) name() string { return fmt.Sprintf("%s %d", r.heading, r.number) }

const setupHeading = "Before you start"

// recipes returns the page's recipes; setup is what all of them need.
func recipes(t *testing.T) (setup string, all []recipe) {
	t.Helper()
	blocks := fences(t, "query.md")
	for i, b := range blocks {
		switch {
		case b.info != "sql duckdb":
		case b.heading == setupHeading:
			setup += b.body
		default:
			r := recipe{heading: b.heading, number: 1, sql: b.body, line: b.line}
			if last := len(all) - 1; last >= 0 && all[last].heading == r.heading {
				r.number = all[last].number + 1
			}
			if i+1 < len(blocks) && blocks[i+1].info == "text" && blocks[i+1].heading == b.heading {
				r.result = blocks[i+1].body
			}
			all = append(all, r)
		}
	}
	return setup, all
}

// recipeSession opens a DuckDB in the folder dir, with the page's definitions.
func recipeSession(t *testing.T, dir, setup string) *sql.DB {
	t.Helper()
	db := session(t)
	runScript(t, db, "SET file_search_path = '"+dir+"'")
	runScript(t, db, setup)
	return db
}

// TestQueryPage runs the page's commands, then its queries, and compares the results with those
// that the page shows.
func TestQueryPage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, b := range fences(t, "query.md") {
		if b.heading == setupHeading && b.info == "json" {
			writeFile(t, filepath.Join(dir, "clinic.ndjson"), b.body)
		}
	}
	for _, b := range fences(t, "query.md") {
		if b.heading != setupHeading || b.info != "sh" {
			continue
		}
		for line := range strings.Lines(b.body) {
			run(t, dir, strings.Fields(line)[1:]...)
		}
	}
	setup, all := recipes(t)
	if len(all) < 12 {
		t.Fatalf("only %d queries were found", len(all))
	}
	db := recipeSession(t, dir, setup)
	for _, r := range all {
		names, rows := table(t, db, r.sql)
		if len(rows) == 0 {
			t.Errorf("query.md:%d: %s has no result", r.line, r.name())
		}
		want, isBegin := strings.CutSuffix(r.result, "…\n")
		got := drawn(names, rows, strings.Count(want, "\n")-1, isBegin)
		if diff := cmp.Diff(want, got); r.result != "" && diff != "" {
			t.Errorf("query.md:%d: %s (-page +DuckDB):\n%s", r.line, r.name(), diff)
		}
	}
}

// drawn formats a result as on the page, with all rows or the first few.
func drawn(names []string, rows [][]string, first int, isBegin bool) string {
	if isBegin && first < len(rows) {
		rows = rows[:max(first, 0)]
	}
	rows = slices.Concat([][]string{names}, rows)
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, v := range row {
			width := 0
			for _, other := range rows {
				width = max(width, utf8.RuneCountInString(other[i]))
			}
			if i > 0 {
				line += " | "
			}
			line += v + strings.Repeat(" ", width-utf8.RuneCountInString(v))
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// TestRecipes runs the page's queries on more and odder data, and compares each result with that
// of a program that reads the NDJSON.
func TestRecipes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := recipeLake(t, dir)
	setup, all := recipes(t)
	db := recipeSession(t, dir, setup)
	wanted := recipeResults()
	for _, r := range all {
		find, ok := wanted[r.name()]
		if !ok {
			t.Errorf("query.md:%d: nothing checks %s", r.line, r.name())
			continue
		}
		delete(wanted, r.name())
		_, rows := table(t, db, r.sql)
		got, want := joined(rows), joined(find(data))
		if len(want) == 0 {
			t.Errorf("%s: the data has nothing of it", r.name())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("query.md:%d: %s (-NDJSON +DuckDB):\n%s", r.line, r.name(), diff)
		}
	}
	for name := range wanted {
		t.Errorf("%s is not on the page", name)
	}
}

// joined returns a result's rows, each as one text, sorted.
func joined(rows [][]string) []string {
	all := make([]string, len(rows))
	for i, row := range rows {
		all[i] = strings.Join(row, " | ")
	}
	slices.Sort(all)
	return all
}
