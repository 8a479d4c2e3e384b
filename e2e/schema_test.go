//go:build cgo

package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
	"fhirkiln/columnar/ddl"
	"fhirkiln/fhir"
)

// TestSchemaDuckDB runs the unmodified output of fhirkiln schema --format duckdb for every
// resource type, on a part with every column of R4's elements filled and on its NDJSON. Types and
// values must be the layout's.
func TestSchemaDuckDB(t *testing.T) {
	t.Parallel()
	types := fhir.R4().ResourceTypes()
	if len(types) != 146 {
		t.Errorf("%d resource types", len(types))
	}
	db := openDuckDB(t)
	for _, typ := range append(types, "NoSuchThing") {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			layout := columnar.LayoutOf(typ)
			dir := filepath.Join(t.TempDir(), "it's here")
			ndjson := writePart(t, dir, layout)

			var script strings.Builder
			if err := ddl.Write(&script, layout, ddl.DuckDB, ddl.Options{Location: dir}); err != nil {
				t.Fatal(err)
			}
			runScript(t, db, script.String())

			view := describe(t, db, quote(typ))
			macro := quote(typ+"_ndjson") + "('" + strings.ReplaceAll(ndjson, "'", "''") + "')"
			fromJSON := describe(t, db, macro)
			var wantView, wantJSON [][2]string
			for _, f := range layout.Fields {
				wantView = append(wantView, [2]string{f.Name, duckType(f, true)})
				if inJSON(f) {
					wantJSON = append(wantJSON, [2]string{f.Name, duckType(f, false)})
				}
			}
			for _, key := range []string{"kiln_feed", "kiln_run", "kiln_source"} {
				wantView = append(wantView, [2]string{key, "VARCHAR"})
			}
			if diff := cmp.Diff(wantView, unquoted(view)); diff != "" {
				t.Errorf("columns of the view (-layout +DuckDB):\n%s", diff)
			}
			if diff := cmp.Diff(wantJSON, unquoted(fromJSON)); diff != "" {
				t.Errorf("columns of the NDJSON (-layout +DuckDB):\n%s", diff)
			}

			// The values in Parquet, without the structs' side columns, are those of the NDJSON.
			var core, filled []string
			for _, c := range fromJSON {
				core = append(core, fmt.Sprintf("%s::%s", quote(c[0]), c[1]))
				filled = append(filled, quote(c[0])+" IS NOT NULL")
			}
			left, right := "SELECT "+strings.Join(core, ", ")+" FROM "+quote(typ), "SELECT * FROM "+macro
			for name, query := range map[string]string{
				"Parquet only": left + " EXCEPT ALL " + right,
				"NDJSON only":  right + " EXCEPT ALL " + left,
			} {
				if n := number(t, db, "SELECT count(*) FROM ("+query+")"); n != 0 {
					t.Errorf("%s: %d rows", name, n)
				}
			}
			if n := number(t, db, "SELECT count(*) FROM "+macro+" WHERE "+strings.Join(filled, " AND ")); n != 1 {
				t.Errorf("%d rows have every column, want 1", n)
			}
			if n := number(t, db, "SELECT count(*) FROM "+quote(typ)+" WHERE kiln_run = '20260930'"); n != 2 {
				t.Errorf("%d rows of the run, want 2", n)
			}
		})
	}
}

// writePart writes a part as a sink stores it, of a resource with every element and of one with
// none, and the NDJSON beside it.
func writePart(t *testing.T, dir string, l *columnar.Layout) (ndjson string) {
	t.Helper()
	folder := filepath.Join(dir, columnar.LayoutPath, l.ResourceType, "kiln_source=s", "kiln_feed=f", "kiln_run=20260930")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	part, err := os.Create(filepath.Join(folder, "part.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	var lines strings.Builder
	object(&lines, l.Fields, l.ResourceType)
	fmt.Fprintf(&lines, "\n{\"resourceType\":%q}\n", l.ResourceType)
	w := columnar.NewWriter(columnar.Options{Create: func(context.Context, string) (io.Writer, error) { return part, nil }})
	if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(lines.String()), 0), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ndjson = filepath.Join(dir, "some.ndjson")
	if err := os.WriteFile(ndjson, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return ndjson
}

// object writes a JSON object with a value for each field that FHIR's JSON has.
func object(b *strings.Builder, fields []*columnar.Field, resourceType string) {
	comma := "{"
	for _, f := range fields {
		if !inJSON(f) {
			continue
		}
		fmt.Fprintf(b, "%s%q:", comma, f.Name)
		comma = ","
		if f.List {
			b.WriteByte('[')
			value(b, f, resourceType)
			b.WriteByte(',')
		}
		value(b, f, resourceType)
		if f.List {
			b.WriteByte(']')
		}
	}
	b.WriteByte('}')
}

func value(b *strings.Builder, f *columnar.Field, resourceType string) {
	switch {
	case f.Required:
		fmt.Fprintf(b, "%q", resourceType)
	case f.Type == columnar.Struct:
		object(b, f.Fields, resourceType)
	case f.Type == columnar.Boolean:
		b.WriteString("true")
	case f.Type == columnar.Int:
		b.WriteString("2147483647")
	case f.Type == columnar.Decimal:
		b.WriteString("-12345.678")
	case f.FHIR == "date":
		b.WriteString(`"1582-02"`)
	case f.FHIR == "dateTime" || f.FHIR == "instant":
		b.WriteString(`"1895-02-07T13:28:17.239+02:00"`)
	case unicode.IsUpper(rune(f.FHIR[0])): // kept as text; DuckDB would turn 1.50 into 1.5
		b.WriteString(`{"linkId":"1","item":[{"linkId":"1.1","n":1.5},null]}`)
	default:
		b.WriteString(`"it's \"\u00fc\""`)
	}
}

// inJSON reports whether FHIR's JSON has a field under its name.
func inJSON(f *columnar.Field) bool { return !strings.HasPrefix(f.Name, "__") && f.FHIR != "*" }

// duckType returns a field's type as printed by DESCRIBE, without quotes.
func duckType(f *columnar.Field, side bool) string {
	text := map[columnar.Type]string{
		columnar.String: "VARCHAR", columnar.Boolean: "BOOLEAN", columnar.Int: "INTEGER", columnar.Long: "BIGINT",
		columnar.Timestamp: "TIMESTAMP WITH TIME ZONE", columnar.Decimal: "DECIMAL(38,9)",
	}[f.Type]
	if f.Type == columnar.Struct {
		var fields []string
		for _, child := range f.Fields {
			if side || inJSON(child) {
				fields = append(fields, child.Name+" "+duckType(child, side))
			}
		}
		text = "STRUCT(" + strings.Join(fields, ", ") + ")"
	}
	if f.List {
		text += "[]"
	}
	return text
}

// unquoted removes the quotes from types: DESCRIBE only quotes names that are keywords of DuckDB.
func unquoted(columns [][2]string) [][2]string {
	var all [][2]string
	for _, c := range columns {
		all = append(all, [2]string{c[0], strings.ReplaceAll(c[1], `"`, "")})
	}
	return all
}

func quote(name string) string { return `"` + name + `"` }

func runScript(t *testing.T, db *sql.DB, script string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), script); err != nil {
		t.Fatalf("%v in\n%s", err, script)
	}
}

// describe returns the columns of a table, each with its name and type.
func describe(t *testing.T, db *sql.DB, from string) [][2]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT column_name, column_type FROM (DESCRIBE FROM "+from+")")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var columns [][2]string
	for rows.Next() {
		var c [2]string
		if err := rows.Scan(&c[0], &c[1]); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return columns
}

func number(t *testing.T, db *sql.DB, query string) int64 {
	t.Helper()
	var n int64
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%v in\n%.2000s", err, query)
	}
	return n
}
