// Package ddl writes the layout of a resource type in notations that other programs read: the DDL
// of query engines, Parquet's own notation, and JSON.
//
// The common path:
//
//	err := ddl.Write(os.Stdout, columnar.LayoutOf("Patient"), ddl.DuckDB, ddl.Options{Location: "s3://lake/claims"})
//
// Names are always quoted. Which words need it differs between engines and versions, and FHIR has
// many of them: end, group, order, class.
package ddl

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"fhirkiln/columnar"
)

// Format is a notation that [Write] knows.
type Format string

// The formats.
const (
	Parquet Format = "parquet" // the message notation of Parquet's tools, with field ids
	DuckDB  Format = "duckdb"  // a view of the Parquet, and a macro that reads NDJSON under the same names
	Spark   Format = "spark"   // Spark SQL, from 3.2
	Athena  Format = "athena"  // Athena's dialect of Hive's DDL, for tables in AWS Glue
	JSON    Format = "json"    // the tree of fields, for programs
)

// DefaultLocation is a placeholder that people replace by their own location.
const DefaultLocation = "s3://BUCKET/PREFIX"

// Options hold what a layout does not say.
type Options struct {
	// Location is the sink's root, which contains the folder [columnar.LayoutPath]: a URL or a
	// path, as the engine spells it. Default [DefaultLocation].
	Location string
}

// The partition keys: the folders below a resource type's, in order. All are strings.
const (
	partitionSource = "kiln_source"
	partitionFeed   = "kiln_feed"
	partitionRun    = "kiln_run"
)

// Write writes l in the format f. The output depends only on l, f and o, and ends with a line
// end. Write fails if the format is unknown or w fails.
func Write(w io.Writer, l *columnar.Layout, f Format, o Options) error {
	location := cmp.Or(strings.TrimRight(cmp.Or(o.Location, DefaultLocation), "/"), "/")
	var text string
	switch f {
	case Parquet:
		text = l.Text()
	case DuckDB:
		text = duckDB(l, location)
	case Spark:
		text = spark(l, location)
	case Athena:
		text = athena(l, location)
	case JSON:
		text = tree(l)
	default:
		return fmt.Errorf("unknown format %q", f)
	}
	_, err := io.WriteString(w, text)
	return err
}

// folder returns where a resource type's parts are, without a trailing slash.
func folder(location string, l *columnar.Layout) string {
	return strings.TrimSuffix(location, "/") + "/" + columnar.LayoutPath + "/" + l.ResourceType
}

// header returns the comment that every DDL begins with.
func header(l *columnar.Layout) string {
	return "-- Layout " + columnar.LayoutName + ", schema SHA-256 " + l.Hash() + ".\n"
}

// dialect is how an engine writes types. list, structOf and field are fmt formats.
type dialect struct {
	scalars  map[columnar.Type]string
	quote    func(name string) string
	list     string // takes an element's type
	structOf string // takes the fields
	field    string // takes a name and a type
	between  string // separates fields
}

// typeOf returns a field's type, lists included.
func (d dialect) typeOf(f *columnar.Field) string {
	var text string
	if f.Type == columnar.Struct {
		fields := make([]string, len(f.Fields))
		for i, child := range f.Fields {
			fields[i] = fmt.Sprintf(d.field, d.quote(child.Name), d.typeOf(child))
		}
		text = fmt.Sprintf(d.structOf, strings.Join(fields, d.between))
	} else {
		text = d.scalars[f.Type]
	}
	if f.List {
		text = fmt.Sprintf(d.list, text)
	}
	return text
}

// Quoted returns a function that puts a text between quotes and doubles the quotes within it. All
// engines here want that of names, and DuckDB and Athena's queries of string literals; Hive's and
// Spark's literals are [HiveText].
func Quoted(quote string) func(string) string {
	return func(text string) string {
		return quote + strings.ReplaceAll(text, quote, quote+quote) + quote
	}
}
