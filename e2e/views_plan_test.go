//go:build cgo

package e2e

import (
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"fhirkiln/pipeline/views"
)

// planNode is an operator in the plan of DuckDB's EXPLAIN.
type planNode struct {
	Name     string                     `json:"operator_name"`
	Extra    map[string]json.RawMessage `json:"extra_info"`
	Children []planNode                 `json:"children"`
}

// plan runs a query in DuckDB and returns its plan.
func plan(t *testing.T, db *sql.DB, query string) planNode {
	t.Helper()
	var kind, text string
	if err := db.QueryRowContext(t.Context(), "EXPLAIN (ANALYZE, FORMAT json) "+query).Scan(&kind, &text); err != nil {
		t.Fatal(err)
	}
	var root planNode
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// all returns a node and all nodes below it.
func (n planNode) all() []planNode {
	nodes := []planNode{n}
	for _, child := range n.Children {
		nodes = append(nodes, child.all()...)
	}
	return nodes
}

// wide reports whether a node, at any depth, reads a column that is not used for ranking.
func (n planNode) wide() bool {
	return slices.ContainsFunc(n.all(), func(n planNode) bool { return strings.Contains(string(n.Extra["Projections"]), `"photo"`) })
}

// TestCurrentSortsNothingWide checks the plan: what is sorted, aggregated, kept or hashed must be
// narrow, however many columns are selected, and the files of runs that are not live are not read.
func TestCurrentSortsNothingWide(t *testing.T) {
	t.Parallel()
	db := session(t)
	dir := t.TempDir()
	var many []lakeRow
	for range 3000 {
		many = append(many, lakeRow{"1", monday, "same"}, lakeRow{"2", monday, "same"})
	}
	putLake(t, db, dir, []lakeRun{
		runOf("r1", lakeFile{transactionTime: monday, rows: many}),
		runOf("r2", lakeFile{transactionTime: tuesday, rows: []lakeRow{{"1", "", "new"}}, deleted: []string{"2"}}),
		runOf("r3", lakeFile{transactionTime: tuesday, rows: many}).in(retired),
	})
	makeViews(t, db, views.Options{Root: dir, Types: []string{"Patient"}, Tombstones: true})
	for _, query := range []string{"SELECT * FROM current_Patient", "SELECT * FROM current_Patient WHERE id = '1'", "SELECT * FROM current_Patient WHERE kiln_source = 's' AND gender IS NULL"} {
		root := plan(t, db, query)
		if !root.wide() {
			t.Fatalf("%s: no operator reads the wide columns: %+v", query, root)
		}
		for _, n := range root.all() {
			switch {
			case strings.HasSuffix(n.Name, "READ_PARQUET") || strings.HasSuffix(n.Name, "TABLE_SCAN"):
				if files := string(n.Extra["Filename(s)"]); strings.Contains(files, "kiln_run=r3") {
					t.Errorf("%s reads a retired run: %s", query, files)
				}
			case strings.HasSuffix(n.Name, "HASH_JOIN"):
				// The right side is kept in memory; the left one is streamed.
				if n.Children[1].wide() {
					t.Errorf("%s: a join keeps wide rows: %s", query, n.Extra)
				}
			case slices.Contains([]string{"PROJECTION", "FILTER", "EXPLAIN_ANALYZE", "CTE", "EMPTY_RESULT", ""}, n.Name):
			default:
				if n.wide() {
					t.Errorf("%s: %s has wide rows", query, n.Name)
				}
			}
			if strings.Contains(n.Name, "ORDER") || strings.Contains(n.Name, "WINDOW") && !strings.Contains(n.Name, "STREAMING") {
				t.Errorf("%s sorts: %s %s", query, n.Name, n.Extra)
			}
		}
	}
	// Columns that are not selected are not read.
	for _, query := range []string{"SELECT count(*) FROM current_Patient", "SELECT gender FROM current_Patient", "SELECT gender FROM Patient"} {
		if plan(t, db, query).wide() {
			t.Errorf("%s reads wide columns", query)
		}
	}
}
