//go:build cgo

package e2e

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/pipeline/views"
)

// marks returns the sorted marks of a view's rows.
func marks(t testing.TB, db *sql.DB, view string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT language FROM "+view+" ORDER BY ALL")
	if err != nil {
		t.Fatalf("%s: %v", view, err)
	}
	defer rows.Close()
	all := []string{}
	for rows.Next() {
		var mark string
		if err := rows.Scan(&mark); err != nil {
			t.Fatal(err)
		}
		all = append(all, mark)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", view, err)
	}
	return all
}

// runOf returns a run of the feed a of the source s, with one file.
func runOf(name string, f lakeFile) lakeRun {
	if f.name == "" {
		f.name = "file"
	}
	return lakeRun{name: name, feed: "a", source: "s", state: live, files: []lakeFile{f}}
}

func (r lakeRun) of(feed, source string) lakeRun { r.feed, r.source = feed, source; return r }

func (r lakeRun) in(s runState) lakeRun { r.state = s; return r }

const (
	monday  = "2026-03-02T01:00:00Z"
	tuesday = "2026-03-03T01:00:00Z"
	// Before monday, which a comparison of strings would not find.
	mondayEarly = "2026-03-02T09:59:59.999+09:00"
	mondayAlso  = "2026-03-01T20:00:00.000-05:00"
)

// TestViewsOfNothing has feeds that have published nothing yet, and unreadable ones.
func TestViewsOfNothing(t *testing.T) {
	t.Parallel()
	row := lakeFile{name: "file", transactionTime: monday, rows: []lakeRow{{"1", "", "row"}}, deleted: []string{"2"}}
	for name, runs := range map[string][]lakeRun{
		"no feed's object": nil,
		"no runs":          {runOf("r1", row).in(unpublished)},
		"retired runs":     {runOf("r1", row).in(retired)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := session(t)
			dir := t.TempDir()
			if runs == nil {
				putRun(t, db, dir, runOf("r1", row))
			}
			putLake(t, db, dir, runs)
			makeViews(t, db, views.Options{Root: dir, Types: []string{"Patient"}, Tombstones: true})
			for _, view := range []string{"Patient", "current_Patient", "kiln_runs", "kiln_parts", "kiln_tombstones"} {
				if n := number(t, db, "SELECT count(*) FROM "+view); n != 0 {
					t.Errorf("%s has %d rows", view, n)
				}
			}
		})
	}
	for name, object := range map[string]string{
		"another version": `{"version": 2, "feed": "a", "source": "s", "runs": []}`,
		"no version":      `{"feed": "a", "source": "s", "runs": []}`,
		"half an object":  `{"version": 1, "feed": "a", "ru`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := session(t)
			dir := t.TempDir()
			putLake(t, db, dir, []lakeRun{runOf("r1", row), runOf("r2", row).of("b", "s")})
			makeViews(t, db, views.Options{Root: dir, Types: []string{"Patient"}, Tombstones: true})
			writeFile(t, filepath.Join(dir, "_fhirkiln", "feeds", "a.json"), object)
			for _, view := range []string{"Patient", "current_Patient", "kiln_runs", "kiln_tombstones"} {
				if _, err := db.ExecContext(t.Context(), "SELECT * FROM "+view); err == nil {
					t.Errorf("%s is no error", view)
				}
			}
		})
	}
}

// TestFirstTombstone adds tombstones after the views were made for a lake without any.
func TestFirstTombstone(t *testing.T) {
	t.Parallel()
	db := session(t)
	dir := t.TempDir()
	runs := []lakeRun{runOf("r1", lakeFile{transactionTime: monday, rows: []lakeRow{{"1", "", "one"}, {"2", "", "two"}}})}
	putLake(t, db, dir, runs)
	o := views.Options{Root: dir, Types: []string{"Patient"}}
	makeViews(t, db, o)
	want := []string{"one", "two"}
	if diff := cmp.Diff(want, marks(t, db, "current_Patient")); diff != "" {
		t.Errorf("before (-want +DuckDB):\n%s", diff)
	}
	runs = append(runs, runOf("r2", lakeFile{transactionTime: tuesday, deleted: []string{"1"}}).in(unpublished))
	putLake(t, db, dir, runs)
	if diff := cmp.Diff(want, marks(t, db, "current_Patient")); diff != "" {
		t.Errorf("before they are live (-want +DuckDB):\n%s", diff)
	}
	runs[1].state = live
	putLake(t, db, dir, runs)
	for _, query := range []string{"SELECT count(*) FROM current_Patient", "SELECT id FROM current_Patient", "SELECT kiln_run FROM kiln_tombstones", "SELECT count(*) FROM kiln_tombstones"} {
		rows, err := db.QueryContext(t.Context(), query)
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
			rows.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "print the views anew") {
			t.Errorf("%s: %v", query, err)
		}
	}
	o.Tombstones = true
	makeViews(t, db, o)
	if diff := cmp.Diff([]string{"two"}, marks(t, db, "current_Patient")); diff != "" {
		t.Errorf("after (-want +DuckDB):\n%s", diff)
	}
}

// TestViewsElsewhere has folders whose names contain wildcards and quotes, state and data in
// separate folders, and views in a file that another session attaches.
func TestViewsElsewhere(t *testing.T) {
	t.Parallel()
	db := session(t)
	base := t.TempDir()
	dir := filepath.Join(base, "it's [the] la*ke?")
	runs := []lakeRun{
		runOf("r1", lakeFile{transactionTime: monday, rows: []lakeRow{{"1", "", "one"}, {"2", "", "two"}}}),
		runOf("r2", lakeFile{transactionTime: tuesday, deleted: []string{"2"}}),
	}
	putLake(t, db, dir, runs)
	for _, folder := range []string{"r1/ledger", "r0"} {
		if err := os.MkdirAll(filepath.Join(dir, "_fhirkiln", "runs", folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "_fhirkiln", "runs", "r1", "ledger", "1.json"), `{"some": ["thing"]}`)
	writeFile(t, filepath.Join(dir, "_fhirkiln", "runs", "r1", "parts.json"),
		`{"run": "r1", "parts": [{"type": "Patient", "key": "`+filepath.ToSlash(runs[0].folder("Patient"))+`/p1.parquet", "rows": 2, "bytes": 7, "sha256": "ab"}]}`)
	writeFile(t, filepath.Join(dir, "_fhirkiln", "runs", "r0", "parts.json"), `{"run": "r0", "parts": [{"type": "Patient", "key": "gone", "rows": 2, "bytes": 7, "sha256": "ab"}]}`)
	state := filepath.Join(base, "state [is] here")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "_fhirkiln"), filepath.Join(state, "_fhirkiln")); err != nil {
		t.Fatal(err)
	}
	runScript(t, db, "ATTACH "+literal(filepath.Join(base, "views.duckdb"))+" AS made; USE made")
	makeViews(t, db, views.Options{Root: dir + "/", State: state, Types: []string{"Patient"}, Tombstones: true})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db = session(t)
	runScript(t, db, "ATTACH "+literal(filepath.Join(base, "views.duckdb"))+" AS lake (READ_ONLY)")
	for view, want := range map[string]int64{"Patient": 2, "current_Patient": 1, "kiln_runs": 2, "kiln_parts": 1, "kiln_tombstones": 1} {
		if n := number(t, db, "SELECT count(*) FROM lake."+view); n != want {
			t.Errorf("%s has %d rows, want %d", view, n, want)
		}
	}
	// The files that kiln_parts names can be read.
	_, rows := table(t, db, "SELECT file FROM lake.kiln_parts")
	if n := number(t, db, "SELECT count(*) FROM "+literal(strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]").Replace(rows[0][0]))); n != 2 {
		t.Errorf("%s has %d rows", rows[0][0], n)
	}
}

// TestViewColumns checks that a view has the columns of the files, and its current_ view the
// same.
func TestViewColumns(t *testing.T) {
	t.Parallel()
	db := session(t)
	dir := t.TempDir()
	putLake(t, db, dir, []lakeRun{runOf("r1", lakeFile{transactionTime: monday, rows: []lakeRow{{"1", "", "one"}}})})
	makeViews(t, db, views.Options{Root: dir, Types: []string{"Patient"}})
	of := describe(t, db, "read_parquet("+literal(dir+"/*/Patient/*/*/*/*.parquet")+", hive_partitioning = true, hive_types_autocast = false)")
	of = append(of, [2]string{"kiln_id_space", "VARCHAR"})
	for _, view := range []string{"Patient", "current_Patient"} {
		if diff := cmp.Diff(of, describe(t, db, view)); diff != "" {
			t.Errorf("%s (-files +view):\n%s", view, diff)
		}
	}
	if !slices.Contains(of, [2]string{"kiln_run", "VARCHAR"}) {
		t.Errorf("no column kiln_run in %v", of)
	}
}
