package ddl

import (
	"fmt"
	"strings"

	"fhirkiln/columnar"
)

func duckDBDialect() dialect {
	return dialect{
		scalars: map[columnar.Type]string{
			columnar.String:    "VARCHAR",
			columnar.Boolean:   "BOOLEAN",
			columnar.Int:       "INTEGER",
			columnar.Long:      "BIGINT",
			columnar.Timestamp: "TIMESTAMP WITH TIME ZONE",
			columnar.Decimal:   "DECIMAL(38,9)",
		},
		quote: Quoted(`"`), list: "%s[]", structOf: "STRUCT(%s)", field: "%s %s", between: ", ",
	}
}

// duckDB returns a view and a macro. The view's columns come from the files; the macro spells them
// out. It is a macro rather than a query so that the text can be run as it is, before there is any
// file. Tombstones get no macro, since no NDJSON has their columns.
func duckDB(l *columnar.Layout, location string) string {
	d, text := duckDBDialect(), Quoted("'")
	name := d.quote(l.ResourceType)
	var b strings.Builder
	b.WriteString(header(l))
	fmt.Fprintf(&b, `
-- The Parquet that fhirkiln published. It wants one part to be there, at least.
-- The partitions %s, %s and %s are columns too, and text.
CREATE OR REPLACE VIEW %s AS
SELECT * FROM read_parquet(%s,
  hive_partitioning = true, hive_types_autocast = false);
`, partitionSource, partitionFeed, partitionRun, name, text(folder(location, l)+"/*/*/*/*.parquet"))
	if l.ResourceType == columnar.Deleted {
		return b.String()
	}

	fmt.Fprintf(&b, `
-- NDJSON, under the same names and types: FROM %s('file.ndjson').
-- What fhirkiln adds is left out, since JSON has none of it: columns that begin with __,
-- and the structs {type, value, json} of choices of any type. So extensions, contained
-- resources and unknown members are not to be seen here. Numbers go through a DOUBLE. A value
-- that does not fit its column ends the query, and so does a line of more than 16 MiB.
CREATE OR REPLACE MACRO %s(file) AS TABLE
SELECT * FROM read_json(file, format = 'newline_delimited', columns = {
`, d.quote(l.ResourceType+"_ndjson"), d.quote(l.ResourceType+"_ndjson"))
	for i, f := range ofJSON(l.Fields) {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "  %s: %s", text(f.Name), text(d.typeOf(f)))
	}
	b.WriteString("\n});\n")
	return b.String()
}

// ofJSON returns those of fields that FHIR's JSON has under the same names.
func ofJSON(fields []*columnar.Field) []*columnar.Field {
	var kept []*columnar.Field
	for _, f := range fields {
		if strings.HasPrefix(f.Name, "__") || f.FHIR == "*" {
			continue
		}
		if f.Type == columnar.Struct {
			f = &columnar.Field{Name: f.Name, Type: f.Type, List: f.List, FHIR: f.FHIR, Fields: ofJSON(f.Fields)}
		}
		kept = append(kept, f)
	}
	return kept
}
