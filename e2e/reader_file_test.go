//go:build cgo

package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
	"fhirkiln/fhir"
)

// leaf is a column of a layout without fields.
type leaf struct {
	*columnar.Field
	path        string // in Parquet: name, list, element, given, list, element
	identifying bool   // part of a name, address, telecom or identifier, or of birth or death
}

func leaves(prefix string, fields []*columnar.Field) []leaf {
	var all []leaf
	for _, f := range fields {
		path := prefix + f.Name
		if f.List {
			path += ", list, element"
		}
		identifying := slices.Contains([]string{"HumanName", "Address", "ContactPoint", "Identifier"}, f.FHIR) ||
			strings.Contains(f.Name, "birthDate") || strings.Contains(f.Name, "deceasedDateTime")
		if f.Type != columnar.Struct {
			all = append(all, leaf{f, path, identifying})
			continue
		}
		for _, l := range leaves(path+", ", f.Fields) {
			l.identifying = l.identifying || identifying
			all = append(all, l)
		}
	}
	return all
}

// TestReaderStatistics asks DuckDB which columns have minimum and maximum values in the footer of
// a part in which every column has values.
func TestReaderStatistics(t *testing.T) {
	t.Parallel()
	db := session(t)
	for _, typ := range []string{"Patient", "Observation", "ExplanationOfBenefit", "Task"} {
		layout := columnar.LayoutOf(typ)
		dir := t.TempDir()
		writePart(t, dir, layout)
		_, rows := table(t, db, fmt.Sprintf(`
SELECT path_in_schema, stats_null_count, stats_min_value IS NOT NULL AND stats_max_value IS NOT NULL, num_values
FROM parquet_metadata('%s')`, filepath.Join(dir, columnar.LayoutPath, typ, "*", "*", "*", "*.parquet")))
		bounds := map[string]string{}
		for _, row := range rows {
			bounds[row[0]] = row[2]
			if row[1] == "NULL" {
				t.Errorf("%s has no count of nulls", row[0])
			}
		}
		want := map[string]string{}
		for _, l := range leaves("", layout.Fields) {
			bounded := l.Type != columnar.String && l.Type != columnar.Boolean || slices.Contains([]string{"code", "uri", "canonical"}, l.FHIR) || l.Required
			if l.identifying {
				bounded = false
			}
			if strings.HasPrefix(l.path, "__extension,") || strings.HasPrefix(l.path, "__origin,") {
				bounded = false // the part has no such values
			}
			want[l.path] = fmt.Sprint(bounded)
		}
		if diff := cmp.Diff(want, bounds); diff != "" {
			t.Errorf("%s: columns with bounds (-want +DuckDB):\n%s", typ, diff)
		}
		if typ == "Patient" {
			for path, bounded := range map[string]string{
				"id": "false", "birthDate": "false", "name, list, element, family": "false", "identifier, list, element, value": "false",
				"managingOrganization, reference": "false", "__birthDate_start": "false", "gender": "true", "identifier, list, element, system": "false",
			} {
				if bounds[path] != bounded {
					t.Errorf("bounds of %s: %s, want %s", path, bounds[path], bounded)
				}
			}
		}
	}
}

// TestReaderSideStatistics does the same for the columns that fhirkiln adds.
func TestReaderSideStatistics(t *testing.T) {
	t.Parallel()
	part := partFile(t, `{"resourceType":"Patient","foo":1,"contained":[{"id":"c"}],"extension":[{"url":"u","extension":[{"url":"v","valueCode":"c"}]}],"multipleBirthInteger":2}
{"resourceType":"Patient","birthDate":"1920-02-02"}`, 0)
	got := map[string]string{}
	_, rows := table(t, session(t), "SELECT path_in_schema, stats_min_value || ' to ' || stats_max_value FROM parquet_metadata('"+part+"') WHERE stats_min_value IS NOT NULL")
	for _, row := range rows {
		got[row[0]] = row[1]
	}
	want := map[string]string{
		"resourceType": "Patient to Patient", "multipleBirthInteger": "2 to 2", "__extension, list, element, parent": "0 to 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bounds (-want +DuckDB):\n%s", diff)
	}
}

// TestReaderMetadata reads the footer's keys and the field ids.
func TestReaderMetadata(t *testing.T) {
	t.Parallel()
	db := session(t)
	for typ, ndjson := range map[string]string{"Patient": `{"resourceType":"Patient"}`, "NoSuchThing": `{"resourceType":"NoSuchThing","x":1}`} {
		part := partFile(t, ndjson, 0)
		_, rows := table(t, db, "SELECT decode(key), decode(value) FROM parquet_kv_metadata('"+part+"') ORDER BY 1")
		want := [][]string{
			{"fhir.version", "4.0.1"}, {"fhirkiln.layout", "r4-core/1"}, {"fhirkiln.resource_type", typ}, {"fhirkiln.schema.sha256", columnar.LayoutOf(typ).Hash()},
		}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("%s: metadata (-want +DuckDB):\n%s", typ, diff)
		}
		// Every field has a unique id. The root and the groups between a list and its elements
		// are not fields.
		if got := one(t, db, "SELECT string_agg(DISTINCT name, ' ') FROM parquet_schema('"+part+"') WHERE field_id IS NULL AND name <> '"+typ+"'"); got != "list" {
			t.Errorf("%s: fields without id: %s", typ, got)
		}
		if got := one(t, db, "SELECT count(field_id) - count(DISTINCT field_id) FROM parquet_schema('"+part+"')"); got != "0" {
			t.Errorf("%s: %s ids are given twice", typ, got)
		}
		if got := one(t, db, "SELECT count(*) FROM parquet_schema('"+part+"') WHERE repetition_type = 'REQUIRED' AND name <> 'resourceType'"); got != "0" {
			t.Errorf("%s: %s columns are required beside resourceType", typ, got)
		}
	}
}

// TestReaderPartitions reads types with a root element source, which a partition of that name
// would hide.
func TestReaderPartitions(t *testing.T) {
	t.Parallel()
	var types []string
	var ndjson strings.Builder
	for _, typ := range fhir.R4().ResourceTypes() {
		for _, f := range columnar.LayoutOf(typ).Fields {
			if strings.HasPrefix(f.Name, "kiln_") {
				t.Errorf("%s has the column %s", typ, f.Name)
			}
			if f.Name != "source" {
				continue
			}
			types = append(types, typ)
			fmt.Fprintf(&ndjson, `{"resourceType":%q,"source":`, typ)
			if f.List {
				ndjson.WriteByte('[')
			}
			value(&ndjson, f, typ)
			if f.List {
				ndjson.WriteByte(']')
			}
			ndjson.WriteString("}\n")
		}
	}
	if len(types) < 5 {
		t.Fatalf("only %q have an element source", types)
	}
	t.Logf("with a root element source: %q", types)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "in.ndjson"), ndjson.String())
	report := runReport(t, dir, "convert", "in.ndjson", "--out", "lake", "--source", "clinic")
	db := session(t)
	for i, typ := range types {
		_, rows := table(t, db, `SELECT source IS NULL, kiln_source, kiln_feed, kiln_run, __origin.source, __origin.feed, __origin.run, __origin.file, __origin.line,
__origin.transactionTime FROM `+partsOf(filepath.Join(dir, "lake"), typ))
		want := [][]string{{"false", "clinic", "convert-clinic", report.Run, "clinic", "convert-clinic", report.Run, "in.ndjson", fmt.Sprint(i + 1), "NULL"}}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("%s (-want +DuckDB):\n%s", typ, diff)
		}
	}
}
