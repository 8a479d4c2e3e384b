package views

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"fhirkiln/columnar"
	"fhirkiln/columnar/ddl"
)

// script is the data that a template gets.
type script struct {
	S3         bool
	Tombstones bool
	Feeds      string // the feeds' objects
	Parts      string // the runs' lists of parts
	Deleted    string // where tombstones are
	DeletedAt  string // a pattern of their parts' paths; Spark only
	Base       string // the folder of the types' folders; Spark only
	Prefix     string // of a part's key
	IDSpace    string // an expression over kiln_feed and kiln_source
	Never      string // an instant before all others
	Types      []typeViews
	Clashes    []Clash // types without a view

	// functions make literals and names of the above: text and name are the engine's own;
	// instant turns a text expression into a point in time, or null if it is none.
	functions template.FuncMap
	text      func(string) string
}

// typeViews are the views of a resource type.
type typeViews struct {
	Name, Current string
	Rows          string // what both views read; not for DuckDB
	Folder        string // where its parts are
	Columns       string // a list for SELECT; not for DuckDB
	Qualified     string // the same, each with p. before it; Athena only
	DDL           string // the same with their types; Athena only
}

// pattern matches a FHIR instant (https://hl7.org/fhir/R4/datatypes.html#instant). Engines
// accept more than that as a time: days, the word now, and times without a zone, which they read
// in the session's own.
const pattern = `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})`

// idSpace returns an SQL expression for the id space of a row.
func (s *script) idSpace(of map[string]string) string {
	const source = "kiln_source"
	if len(of) == 0 {
		return source
	}
	var b strings.Builder
	b.WriteString("CASE kiln_feed")
	for _, feed := range slices.Sorted(maps.Keys(of)) {
		fmt.Fprintf(&b, " WHEN %s THEN %s", s.text(feed), s.text(of[feed]))
	}
	return b.String() + " ELSE " + source + " END"
}

func (s *script) duckDB(root, state string, types []string) {
	s.text = ddl.Quoted("'")
	// Brackets around a wildcard make it literal.
	glob := strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]").Replace
	s.Feeds, s.Parts = joinPath(glob(state), feedsFolder, "*.json"), joinPath(glob(state), runsFolder, "*", "parts.json")
	s.Deleted = joinPath(glob(root), columnar.LayoutPath, deletedFolder, partsGlob)
	s.Never = "-9223372036854775807"
	s.functions = template.FuncMap{
		"text": s.text, "name": ddl.Quoted(`"`),
		"instant": func(e string) string { // in microseconds
			return fmt.Sprintf("CASE WHEN regexp_full_match(%[1]s, %[2]s) THEN epoch_us(TRY_CAST(%[1]s AS TIMESTAMPTZ)) END", e, s.text(pattern))
		},
	}
	for _, name := range types {
		s.Types = append(s.Types, typeViews{Name: name, Current: "current_" + name,
			Folder: joinPath(glob(root), columnar.LayoutPath, name, partsGlob)})
	}
}

func (s *script) spark(root, state string, types []string) {
	s.text = ddl.HiveText
	name := ddl.Quoted("`")
	var escapes []string
	for _, c := range `\*?[]{}` {
		escapes = append(escapes, string(c), `\`+string(c))
	}
	glob := strings.NewReplacer(escapes...).Replace
	s.Feeds, s.Parts = joinPath(glob(state), feedsFolder, "*.json"), joinPath(glob(state), runsFolder, "*", "parts.json")
	s.Base = joinPath(root, columnar.LayoutPath)
	s.Deleted = joinPath(glob(root), columnar.LayoutPath, deletedFolder)
	if !s.Tombstones && len(types) > 0 {
		s.Deleted = joinPath(glob(root), columnar.LayoutPath, "{"+deletedFolder+","+types[0]+"}")
	}
	s.DeletedAt = "%" + joinPath("", columnar.LayoutPath, deletedFolder, "%")
	s.Never = "-9223372036854775807"
	instant := func(e string) string {
		return fmt.Sprintf("CASE WHEN %[1]s RLIKE %[2]s THEN try_to_timestamp(%[1]s) END", e, s.text("^"+pattern+"$"))
	}
	s.functions = template.FuncMap{
		"text": s.text, "name": name, "instant": instant,
		"micros": func(e string) string { return "unix_micros(" + instant(e) + ")" },
	}
	for _, t := range types {
		s.Types = append(s.Types, typeViews{Name: t, Current: "current_" + t, Rows: "kiln_rows_" + t,
			Folder: joinPath(glob(root), columnar.LayoutPath, t), Columns: columns(t, name)})
	}
}

func (s *script) athena(root, state string, types []string) {
	s.text = ddl.Quoted("'")
	lower := func(quote string) func(string) string {
		wrap := ddl.Quoted(quote)
		return func(name string) string { return wrap(strings.ToLower(name)) }
	}
	name := lower(`"`)
	s.Feeds = joinPath(state, feedsFolder, "")
	s.Deleted = joinPath(root, manifestFolder(deletedFolder), "")
	s.Never = "TIMESTAMP '0001-01-01 00:00:00 UTC'"
	s.functions = template.FuncMap{
		"text": s.text, "name": name, "hiveText": ddl.HiveText, "hiveName": lower("`"),
		"instant": func(e string) string {
			return fmt.Sprintf("CASE WHEN regexp_like(%[1]s, %[2]s) THEN try(from_iso8601_timestamp_nanos(%[1]s)) END", e, s.text("^"+pattern+"$"))
		},
		"partitions": func(path string) string {
			var all []string
			for _, key := range []string{"kiln_source", "kiln_feed", "kiln_run"} {
				all = append(all, fmt.Sprintf("regexp_extract(%s, '%s=([^/]+)', 1) AS %s", path, key, key))
			}
			return strings.Join(all, ", ")
		},
	}
	for _, t := range types {
		s.Types = append(s.Types, typeViews{Name: t, Current: "current_" + t, Rows: "kiln_rows_" + t,
			Folder: joinPath(root, manifestFolder(t), ""), Columns: columns(t, name),
			Qualified: columns(t, func(column string) string { return "p." + name(column) }),
			DDL:       strings.Join(ddl.AthenaColumns(columnar.LayoutOf(t)), ",\n  ")})
	}
}

// columns returns the columns of a type's layout as a list for SELECT.
func columns(resourceType string, name func(string) string) string {
	var all []string
	for _, f := range columnar.LayoutOf(resourceType).Fields {
		all = append(all, name(f.Name))
	}
	return strings.Join(all, ", ")
}
