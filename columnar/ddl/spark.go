package ddl

import (
	"fmt"
	"strings"

	"fhirkiln/columnar"
)

func sparkDialect() dialect {
	return dialect{
		scalars: map[columnar.Type]string{
			columnar.String:    "STRING",
			columnar.Boolean:   "BOOLEAN",
			columnar.Int:       "INT",
			columnar.Long:      "BIGINT",
			columnar.Timestamp: "TIMESTAMP",
			columnar.Decimal:   "DECIMAL(38,9)",
		},
		quote: Quoted("`"), list: "ARRAY<%s>", structOf: "STRUCT<%s>", field: "%s: %s", between: ", ",
	}
}

// spark returns the DDL of a table of the data source parquet, whose partitions are among its
// columns (https://spark.apache.org/docs/latest/sql-ref-syntax-ddl-create-table-datasource.html).
func spark(l *columnar.Layout, location string) string {
	d := sparkDialect()
	name := d.quote(l.ResourceType)
	var b strings.Builder
	b.WriteString(header(l))
	b.WriteString(`-- Times before 1900, as old birth dates have them, end a query of Spark before 4.0 unless
-- it is told that they are not in the Julian calendar: for this table by its option
-- datetimeRebaseMode, without a table by spark.sql.parquet.datetimeRebaseModeInRead=CORRECTED.
-- No column is a DATE or an INT96. Times are shown in spark.sql.session.timeZone.
-- Outside of EMR, S3 is s3a://.
`)
	fmt.Fprintf(&b, "CREATE TABLE %s (\n", name)
	for _, f := range l.Fields {
		fmt.Fprintf(&b, "  %s %s,\n", d.quote(f.Name), d.typeOf(f))
	}
	partitions := []string{d.quote(partitionSource), d.quote(partitionFeed), d.quote(partitionRun)}
	fmt.Fprintf(&b, "  %s STRING\n)\n", strings.Join(partitions, " STRING,\n  "))
	fmt.Fprintf(&b, `USING parquet
OPTIONS ('datetimeRebaseMode' = 'CORRECTED')
PARTITIONED BY (%s)
LOCATION %s;

-- Once now, and after every run that published: it finds the new partitions.
MSCK REPAIR TABLE %s;
`, strings.Join(partitions, ", "), HiveText(folder(location, l)), name)
	return b.String()
}

// HiveText returns a string literal for Hive and Spark, with backslash escapes.
func HiveText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
