//go:build cgo

package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/views"
)

// lakeRun is a run whose parts are in a lake.
type lakeRun struct {
	name, feed, source string
	state              runState
	files              []lakeFile
}

type runState string

const (
	live        runState = "live"
	retired     runState = "retired"     // marked as such by the feed's object
	unpublished runState = "unpublished" // unknown to the feed's object
)

// lakeFile is an output file or a deleted file that a run converted.
type lakeFile struct {
	name, transactionTime string
	run                   string // of its rows; "" means that of the parts (compaction takes over rows of other runs)
	rows                  []lakeRow
	deleted               []string // ids of Patients
}

// lakeRow is a version of a Patient. Its mark, which views show as language, is unique.
type lakeRow struct {
	id, lastUpdated string // "" means none
	mark            string
}

func (r lakeRow) ndjson() string {
	resource := map[string]any{"resourceType": "Patient", "language": r.mark}
	if r.id != "" {
		resource["id"] = r.id
	}
	if r.lastUpdated != "" {
		resource["meta"] = map[string]string{"lastUpdated": r.lastUpdated}
	}
	line, _ := json.Marshal(resource) // only strings, so this cannot fail
	return string(line) + "\n"
}

// origin returns the __origin of the rows of a run's file.
func (f lakeFile) origin(r lakeRun) columnar.Origin {
	o := columnar.Origin{Source: r.source, Feed: r.feed, Run: f.run, File: f.name, TransactionTime: f.transactionTime}
	if o.Run == "" {
		o.Run = r.name
	}
	return o
}

// folder returns the folder of a run's parts of a type.
func (r lakeRun) folder(typ string) string {
	return filepath.Join(columnar.LayoutPath, typ, "kiln_source="+r.source, "kiln_feed="+r.feed, "kiln_run="+r.name)
}

// putRun writes a run's parts into the folder dir: one of Patients, one of tombstones.
func putRun(t testing.TB, db *sql.DB, dir string, r lakeRun) {
	t.Helper()
	var part *os.File
	w := columnar.NewWriter(columnar.Options{Create: func(context.Context, string) (io.Writer, error) {
		folder := filepath.Join(dir, r.folder("Patient"))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		var err error
		part, err = os.Create(filepath.Join(folder, "p1.parquet"))
		return part, err
	}})
	var deleted []string
	for _, f := range r.files {
		o := f.origin(r)
		var lines strings.Builder
		for _, row := range f.rows {
			lines.WriteString(row.ndjson())
		}
		if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(lines.String()), 0), &o); err != nil {
			t.Fatal(err)
		}
		for i, id := range f.deleted {
			transactionTime := "NULL"
			if o.TransactionTime != "" {
				transactionTime = literal(o.TransactionTime)
			}
			deleted = append(deleted, fmt.Sprintf("('Patient', %s, {source: %s, feed: %s, run: %s, file: %s, line: %d::BIGINT, transactionTime: %s::VARCHAR})",
				literal(id), literal(o.Source), literal(o.Feed), literal(o.Run), literal(o.File), i+1, transactionTime))
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if part != nil {
		if err := part.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if deleted == nil {
		return
	}
	folder := filepath.Join(dir, r.folder("deleted"))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	copied := fmt.Sprintf("COPY (SELECT * FROM (VALUES %s) v(resourceType, id, __origin)) TO %s (FORMAT parquet)",
		strings.Join(deleted, ", "), literal(filepath.Join(folder, "d1.parquet")))
	if _, err := db.ExecContext(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// feedObject has the fields of a feed's object that these tests write.
type feedObject struct {
	Version  int    `json:"version"`
	Feed     string `json:"feed"`
	Source   string `json:"source"`
	Sequence int    `json:"sequence"`
	Lease    struct {
		Holder string `json:"holder"`
	} `json:"lease"`
	Runs    []feedRun    `json:"runs"`
	Retired []feedRunEnd `json:"retired,omitempty"`
	Members string       `json:"members,omitempty"`
}

type feedRun struct {
	Run             string   `json:"run"`
	Published       string   `json:"published"`
	TransactionTime string   `json:"transaction_time"`
	Kind            string   `json:"kind"`
	Status          string   `json:"status"`
	Resources       int      `json:"resources"`
	Parts           int      `json:"parts"`
	Bytes           int      `json:"bytes"`
	Replaces        []string `json:"replaces,omitempty"`
}

type feedRunEnd struct {
	Run       string `json:"run"`
	Published string `json:"published,omitempty"`
	At        string `json:"at"`
}

// put writes the object like a sink: a reader sees the old one or the new one.
func (o *feedObject) put(t testing.TB, state string) {
	t.Helper()
	o.Sequence++
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(state, "_fhirkiln", "feeds", o.Feed+".json")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".tmp", append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		t.Fatal(err)
	}
}

// putLake writes runs into dir, and their feeds' objects.
func putLake(t testing.TB, db *sql.DB, dir string, runs []lakeRun) {
	t.Helper()
	feeds := map[string]*feedObject{}
	for _, r := range runs {
		putRun(t, db, dir, r)
		o := feeds[r.feed]
		if o == nil {
			o = &feedObject{Version: 1, Feed: r.feed, Source: r.source}
			feeds[r.feed] = o
		}
		switch r.state {
		case live:
			o.Runs = append(o.Runs, feedRun{Run: r.name, Published: "2026-01-01T00:00:00.123456789Z", Kind: "full", Status: "published"})
		case retired:
			o.Retired = append(o.Retired, feedRunEnd{Run: r.name, At: "2026-01-01T00:00:00Z"})
		}
	}
	for _, o := range feeds {
		o.put(t, dir)
	}
}

// makeViews runs the script for DuckDB.
func makeViews(t testing.TB, db *sql.DB, o views.Options) {
	t.Helper()
	o.Engine = views.DuckDB
	var script strings.Builder
	if err := views.Write(&script, o); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), script.String()); err != nil {
		t.Fatalf("%v in\n%s", err, &script)
	}
}

// hasTombstones reports whether any run has tombstones.
func hasTombstones(runs []lakeRun) bool {
	return slices.ContainsFunc(runs, func(r lakeRun) bool {
		return slices.ContainsFunc(r.files, func(f lakeFile) bool { return f.deleted != nil })
	})
}
