package views_test

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
	"fhirkiln/fhir"
	"fhirkiln/pipeline/views"
)

var update = flag.Bool("update", false, "write the golden files anew")

var engines = []views.Engine{views.DuckDB, views.Spark, views.Athena}

func write(t *testing.T, o views.Options) string {
	t.Helper()
	var b strings.Builder
	if err := views.Write(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestGolden compares with testdata.
// To rewrite it: go test ./pipeline/views -run TestGolden -update
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		for name, o := range map[string]views.Options{
			"first": {Root: "s3://lake/claims", Types: []string{"Patient"}},
			"all": {Root: "s3://lake/claims/", State: "s3://state", Types: []string{"Patient", "Basic", "Patient"}, Tombstones: true,
				IDSpaces: map[string]string{"members": "acme", "history": "acme"}},
		} {
			o.Engine = engine
			golden := filepath.Join("testdata", name+"."+string(engine)+".sql")
			got := write(t, o)
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
				t.Errorf("%s: run with -update if it is meant to change (-golden +got):\n%s", golden, diff)
			}
		}
	}
}

// TestEveryType checks that every layout has what the views rank by, even for types that R4 does
// not know, and that Athena's statements stay below its limit
// (https://docs.aws.amazon.com/athena/latest/ug/service-limits.html).
func TestEveryType(t *testing.T) {
	t.Parallel()
	const maxQuery = 262144
	types := append(fhir.R4().ResourceTypes(), "NoSuchThing")
	for _, typ := range types {
		var all []string
		for _, f := range columnar.LayoutOf(typ).Fields {
			all = append(all, f.Name)
			for _, child := range f.Fields {
				all = append(all, f.Name+"."+child.Name)
			}
		}
		text := " " + strings.Join(all, " ") + " "
		for _, name := range []string{"id", "meta.__lastUpdated_start", "__origin.run", "__origin.file", "__origin.line", "__origin.transactionTime"} {
			if !strings.Contains(text, " "+name+" ") {
				t.Errorf("%s has no %s", typ, name)
			}
		}
		for _, taken := range []string{"filename", "file_row_number", "kiln_id_space", "kiln_file", "kiln_row"} {
			if strings.Contains(text, " "+taken+" ") {
				t.Errorf("%s has a column %s, which the views make", typ, taken)
			}
		}
	}
	for _, engine := range engines {
		text := write(t, views.Options{Engine: engine, Types: types, Tombstones: true})
		if n := strings.Count(text, "current_"); n < len(types) {
			t.Errorf("%s: %d views of what is current, want %d", engine, n, len(types))
		}
		if !strings.HasSuffix(text, ";\n") || strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
			t.Errorf("%s ends with %.40q", engine, text[len(text)-40:])
		}
		for statement := range strings.SplitSeq(text, ";\n") {
			if engine == views.Athena && len(statement) > maxQuery {
				t.Errorf("a statement for Athena has %d bytes: %.60s", len(statement), statement)
			}
		}
	}
}

func TestLocations(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		options views.Options
		want    string
	}{
		{views.Options{Engine: views.DuckDB}, `read_text('s3://BUCKET/PREFIX/_fhirkiln/feeds/*.json')`},
		{views.Options{Engine: views.DuckDB, Root: "/"}, `read_text('/_fhirkiln/feeds/*.json')`},
		{views.Options{Engine: views.DuckDB, Root: "lake//"}, `read_parquet('lake/r4-core-1/Patient/*/*/*/*.parquet'`},
		{views.Options{Engine: views.DuckDB, Root: "/it's [a] *?"}, `read_parquet('/it''s [[]a] [*][?]/r4-core-1/Patient/*/*/*/*.parquet'`},
		{views.Options{Engine: views.DuckDB, Root: "/it's [a]"}, `'/it''s [a]/' || p.key`},
		{views.Options{Engine: views.DuckDB, Root: "lake", State: "/state/"}, `read_text('/state/_fhirkiln/runs/*/parts.json')`},
		{views.Options{Engine: views.DuckDB, Root: "s3://lake"}, `CREATE SECRET`},
		{views.Options{Engine: views.Spark, Root: "s3a://lake"}, "FROM parquet.`s3a://lake/r4-core-1/Patient` p"},
		{views.Options{Engine: views.Spark, Root: "/it's {a}`"}, "FROM parquet.`/it's \\{a\\}``/r4-core-1/Patient` p"},
		{views.Options{Engine: views.Spark, Root: "/it's {a}"}, `path '/it\'s \\{a\\}/r4-core-1/{deleted,Patient}', basePath '/it\'s {a}/r4-core-1'`},
		{views.Options{Engine: views.Spark, Root: "/lake", Tombstones: true}, "FROM parquet.`/lake/r4-core-1/deleted` d"},
		{views.Options{Engine: views.Athena, Root: "s3://lake/"}, `LOCATION 's3://lake/_fhirkiln/athena/Patient/'`},
		{views.Options{Engine: views.Athena, Root: "s3://lake", State: "s3://state"}, `LOCATION 's3://state/_fhirkiln/feeds/'`},
		{views.Options{Engine: views.Athena, IDSpaces: map[string]string{"b": "it's", "a": "x"}}, `CASE kiln_feed WHEN 'a' THEN 'x' WHEN 'b' THEN 'it''s' ELSE kiln_source END AS kiln_id_space`},
	} {
		tt.options.Types = []string{"Patient"}
		if got := write(t, tt.options); !strings.Contains(got, tt.want) {
			t.Errorf("%+v has no %s", tt.options, tt.want)
		}
	}
	if got := write(t, views.Options{Engine: views.DuckDB, Root: "/lake"}); strings.Contains(got, "SECRET") {
		t.Error("a folder on disk wants no secret")
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]views.Options{
		"no engine":              {},
		"unknown engine":         {Engine: "csv"},
		"no type":                {Engine: views.DuckDB, Types: []string{""}},
		"another kind of name":   {Engine: views.DuckDB, Types: []string{"deleted"}},
		"quotes":                 {Engine: views.Spark, Types: []string{"Patient`"}},
		"a line end":             {Engine: views.DuckDB, Root: "lake\n; DROP TABLE x"},
		"a line end in state":    {Engine: views.DuckDB, State: "lake\r"},
		"Athena on disk":         {Engine: views.Athena, Root: "/lake"},
		"Athena's state on disk": {Engine: views.Athena, Root: "s3://lake", State: "/state"},
	} {
		var b strings.Builder
		err := views.Write(&b, o)
		var wrong *views.OptionsError
		if !errors.As(err, &wrong) || wrong.Reason == "" || b.Len() > 0 {
			t.Errorf("%s: %v, and %d bytes", name, err, b.Len())
		}
	}
	for _, engine := range engines {
		if err := views.Write(brokenWriter{}, views.Options{Engine: engine}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", engine, err)
		}
	}
}

// TestClashes has types whose names are the same to engines.
func TestClashes(t *testing.T) {
	t.Parallel()
	types := []string{"PATIENT", "Basic", "Zebra", "Patient", "ZEBRA", "PatienT", "Zebra"}
	want := []views.Clash{{LeftOut: "PATIENT", Kept: "Patient"}, {LeftOut: "PatienT", Kept: "Patient"}, {LeftOut: "Zebra", Kept: "ZEBRA"}}
	if diff := cmp.Diff(want, views.Clashes(types)); diff != "" {
		t.Errorf("clashes (-want +got):\n%s", diff)
	}
	for _, engine := range engines {
		o := views.Options{Engine: engine, Root: "s3://lake", Types: types}
		got := write(t, o)
		o.Types = []string{"Basic", "Patient", "ZEBRA"}
		rest := write(t, o)
		for _, clash := range want {
			comment := "--\n-- There is no view of " + clash.LeftOut + ", a name that differs from " + clash.Kept +
				" only in case. Its files are in the folder " + clash.LeftOut + ".\n"
			if !strings.Contains(got, comment) {
				t.Errorf("%s does not say that %s is left out", engine, clash.LeftOut)
			}
			got = strings.Replace(got, comment, "", 1)
		}
		if diff := cmp.Diff(rest, got); diff != "" {
			t.Errorf("%s, as without them (-want +got):\n%s", engine, diff)
		}
	}
	if got := views.Clashes([]string{"Patient", "Basic", "Patient"}); len(got) > 0 {
		t.Errorf("clashes of none: %v", got)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestManifest(t *testing.T) {
	t.Parallel()
	keys := []string{"r4-core-1/Patient/kiln_source=s/kiln_feed=f/kiln_run=r2/p1.parquet", "r4-core-1/Patient/kiln_source=s/kiln_feed=f/kiln_run=r1/p1.parquet"}
	want := "s3://lake/claims/r4-core-1/Patient/kiln_source=s/kiln_feed=f/kiln_run=r1/p1.parquet\n" +
		"s3://lake/claims/r4-core-1/Patient/kiln_source=s/kiln_feed=f/kiln_run=r2/p1.parquet\n"
	for _, root := range []string{"s3://lake/claims", "s3://lake/claims/"} {
		if diff := cmp.Diff(want, string(views.Manifest(root, keys))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", root, diff)
		}
	}
	if got := views.Manifest("s3://lake", nil); len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
	if got, want := views.ManifestKey("Patient", "members"), "_fhirkiln/athena/Patient/members.txt"; got != want {
		t.Errorf("key %s, want %s", got, want)
	}
}
