package ddl

import (
	"fmt"
	"strings"

	"fhirkiln/columnar"
)

// athenaDialect writes names in lower case. Glue stores them like that whatever the DDL says, and
// Athena ignores case when it compares them with the file's.
func athenaDialect() dialect {
	quote := Quoted("`")
	return dialect{
		scalars: map[columnar.Type]string{
			columnar.String:    "string",
			columnar.Boolean:   "boolean",
			columnar.Int:       "int",
			columnar.Long:      "bigint",
			columnar.Timestamp: "timestamp",
			columnar.Decimal:   "decimal(38,9)",
		},
		quote: func(name string) string { return quote(strings.ToLower(name)) },
		list:  "array<%s>", structOf: "struct<%s>", field: "%s:%s", between: ",",
	}
}

// athena returns the DDL of an external table, whose partitions are not among its columns
// (https://docs.aws.amazon.com/athena/latest/ug/create-table.html).
func athena(l *columnar.Layout, location string) string {
	d := athenaDialect()
	name := d.quote(l.ResourceType)
	var b strings.Builder
	b.WriteString(header(l))
	fmt.Fprintf(&b, `-- Athena runs one statement at a time. Names are in lower case, as Glue keeps them: queries
-- may write them in any case. A name that is a keyword or begins with an underscore stands
-- between backticks in DDL and between double quotes in queries.
-- Times are UTC, to the millisecond.
CREATE EXTERNAL TABLE %s (
`, name)
	fmt.Fprintf(&b, `  %s
)
PARTITIONED BY (%s string, %s string, %s string)
STORED AS PARQUET
LOCATION %s
TBLPROPERTIES ('classification' = 'parquet', 'parquet.compression' = 'ZSTD');

-- Once now, and after every run that published: it finds the new partitions.
MSCK REPAIR TABLE %s;
`, strings.Join(AthenaColumns(l), ",\n  "), d.quote(partitionSource), d.quote(partitionFeed), d.quote(partitionRun), HiveText(folder(location, l)+"/"), name)
	return b.String()
}

// AthenaColumns returns the columns of a table for Athena, each with its type.
func AthenaColumns(l *columnar.Layout) []string {
	d := athenaDialect()
	var all []string
	for _, f := range l.Fields {
		all = append(all, d.quote(f.Name)+" "+d.typeOf(f))
	}
	return all
}
