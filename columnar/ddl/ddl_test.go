package ddl_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
	"fhirkiln/columnar/ddl"
	"fhirkiln/fhir"
)

var update = flag.Bool("update", false, "write the golden files anew")

var formats = []ddl.Format{ddl.Parquet, ddl.DuckDB, ddl.Spark, ddl.Athena, ddl.JSON}

// types returns all types that R4 knows, and one that it does not know.
func types() []string { return append(fhir.R4().ResourceTypes(), "NoSuchThing") }

func write(t *testing.T, resourceType string, f ddl.Format, location string) string {
	t.Helper()
	var b strings.Builder
	if err := ddl.Write(&b, columnar.LayoutOf(resourceType), f, ddl.Options{Location: location}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPatient compares each format with testdata.
// To rewrite it: go test ./columnar/ddl -run TestPatient -update
func TestPatient(t *testing.T) {
	t.Parallel()
	for f, name := range map[ddl.Format]string{
		ddl.Parquet: "Patient.txt",
		ddl.DuckDB:  "Patient.duckdb.sql",
		ddl.Spark:   "Patient.spark.sql",
		ddl.Athena:  "Patient.athena.sql",
		ddl.JSON:    "Patient.json",
	} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			got := write(t, "Patient", f, "s3://lake/claims/")
			golden := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("run with -update if it is meant to change (-golden +got):\n%s", diff)
			}
		})
	}
}

func TestEveryTypeInEveryFormat(t *testing.T) {
	t.Parallel()
	for _, typ := range types() {
		for _, f := range formats {
			text := write(t, typ, f, "")
			if !strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\n\n") {
				t.Errorf("%s %s does not end with one line end", typ, f)
			}
			if open := unclosed(t, text, f); open != "" {
				t.Errorf("%s %s has unbalanced brackets: %s", typ, f, open)
			}
		}
	}
}

// unclosed returns the brackets that are still open at the end of a text, or the one that closes
// nothing.
func unclosed(t *testing.T, text string, f ddl.Format) string {
	t.Helper()
	var open []string
	for _, token := range lex(t, text, f) {
		switch token {
		case "(", "<", "{", "[":
			open = append(open, token)
		case ")", ">", "}", "]":
			want := map[string]string{")": "(", ">": "<", "}": "{", "]": "["}[token]
			if len(open) == 0 || open[len(open)-1] != want {
				return token
			}
			open = open[:len(open)-1]
		}
	}
	return strings.Join(open, "")
}

// TestLocation includes odd locations: with quotes, with backslashes, with too many slashes.
func TestLocation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		format         ddl.Format
		location, want string
	}{
		{ddl.DuckDB, "", `read_parquet('s3://BUCKET/PREFIX/r4-core-1/Patient/*/*/*/*.parquet',`},
		{ddl.DuckDB, "/data/it's", `read_parquet('/data/it''s/r4-core-1/Patient/*/*/*/*.parquet',`},
		{ddl.DuckDB, `C:\lake`, `read_parquet('C:\lake/r4-core-1/Patient/*/*/*/*.parquet',`},
		{ddl.DuckDB, "/", `read_parquet('/r4-core-1/Patient/*/*/*/*.parquet',`},
		{ddl.DuckDB, ".", `read_parquet('./r4-core-1/Patient/*/*/*/*.parquet',`},
		{ddl.Spark, "", `LOCATION 's3://BUCKET/PREFIX/r4-core-1/Patient';`},
		{ddl.Spark, "s3a://lake//", `LOCATION 's3a://lake/r4-core-1/Patient';`},
		{ddl.Spark, `it's\`, `LOCATION 'it\'s\\/r4-core-1/Patient';`},
		{ddl.Athena, "", `LOCATION 's3://BUCKET/PREFIX/r4-core-1/Patient/'` + "\n"},
		{ddl.Athena, "s3://lake/", `LOCATION 's3://lake/r4-core-1/Patient/'` + "\n"},
	} {
		if got := write(t, "Patient", tt.format, tt.location); !strings.Contains(got, tt.want) {
			t.Errorf("%s at %q has no %s", tt.format, tt.location, tt.want)
		}
	}
	for _, f := range []ddl.Format{ddl.Parquet, ddl.JSON} {
		if write(t, "Patient", f, "here") != write(t, "Patient", f, "there") {
			t.Errorf("%s hangs on the location", f)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	patient := columnar.LayoutOf("Patient")
	if err := ddl.Write(new(strings.Builder), patient, "csv", ddl.Options{}); err == nil || !strings.Contains(err.Error(), `"csv"`) {
		t.Errorf("of an unknown format: %v", err)
	}
	for _, f := range formats {
		if err := ddl.Write(brokenWriter{}, patient, f, ddl.Options{}); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", f, err)
		}
	}
}

var errBroken = errors.New("broken")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// TestJSON reads the format JSON as another program would.
func TestJSON(t *testing.T) {
	t.Parallel()
	type field struct {
		Name, Type     string
		List, Required bool
		ID             int
		ElementID      int `json:"element_id"`
		FHIR           string
		Fields         []field
	}
	var fields func([]*columnar.Field) []field
	fields = func(from []*columnar.Field) (all []field) {
		names := map[columnar.Type]string{
			columnar.Struct: "struct", columnar.String: "string", columnar.Boolean: "boolean", columnar.Int: "int",
			columnar.Long: "long", columnar.Timestamp: "timestamptz", columnar.Decimal: "decimal(38,9)",
		}
		for _, f := range from {
			all = append(all, field{f.Name, names[f.Type], f.List, f.Required, f.ID, f.ElementID, f.FHIR, fields(f.Fields)})
		}
		return all
	}
	for _, typ := range types() {
		var got struct {
			Layout, Type, Hash string
			Fields             []field
		}
		if err := json.Unmarshal([]byte(write(t, typ, ddl.JSON, "")), &got); err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		l := columnar.LayoutOf(typ)
		if got.Layout != "r4-core/1" || got.Type != typ || got.Hash != l.Hash() {
			t.Errorf("%s: %s, %s, %s", typ, got.Layout, got.Type, got.Hash)
		}
		if diff := cmp.Diff(fields(l.Fields), got.Fields); diff != "" {
			t.Errorf("%s (-layout +JSON):\n%s", typ, diff)
		}
	}
}
