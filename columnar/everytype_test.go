package columnar_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"fhirkiln/columnar"
	"fhirkiln/fhir"
)

// everyType returns all types of R4, and two that it does not know.
func everyType() []string {
	return slices.Concat(fhir.R4().ResourceTypes(), []string{"DomainResource", "Foo"})
}

// Resources with every element filled come back, and every column has a value somewhere. The
// schema is the layout's, and the footer has no bounds for columns that identify people.
func TestEveryType(t *testing.T) {
	t.Parallel()
	for seed, name := range everyType() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGenerator(uint64(seed), 1)
			unused := columnPaths(columnar.LayoutOf(name))
			if _, has := lookup(name).Element("contained"); !has { // Binary, Bundle, Parameters
				maps.DeleteFunc(unused, func(path string, _ bool) bool { return strings.HasPrefix(path, "__contained.") })
			}
			for turn := 0; len(unused) > 0; turn++ { // rare choices need more turns
				if turn == 200 {
					t.Fatalf("these columns never have a value: %v", unused)
				}
				lines := make([]string, 2)
				if g.only != nil {
					lines = make([]string, 50)
				}
				for i := range lines {
					lines[i] = g.resource(name)
				}
				for _, p := range roundTrip(t, columnar.Options{}, lines...) {
					if turn == 0 {
						check(t, p)
						compareFields(t, open(t, p).Root(), columnar.LayoutOf(name).Fields)
					}
					identifying := identifyingColumns(columnar.LayoutOf(name))
					for _, group := range open(t, p).Metadata().RowGroups {
						for i, c := range group.Columns {
							if identifying[i] && c.MetaData.Statistics.MinValue != nil {
								t.Errorf("%v identifies people and has bounds", c.MetaData.PathInSchema)
							}
							if c.MetaData.NumValues > c.MetaData.Statistics.NullCount {
								delete(unused, strings.Join(c.MetaData.PathInSchema, "."))
							}
						}
					}
				}
				g.only = []string{}
				for _, path := range slices.Sorted(maps.Keys(unused)) {
					g.only = append(g.only, strings.NewReplacer(".list.element", "", "__", "").Replace(path))
					if strings.HasPrefix(path, "__extension.") || strings.HasPrefix(path, "__contained.") {
						g.only = nil // anything may fill them
						break
					}
				}
			}
		})
	}
}

// columnPaths returns the paths of a layout's columns in Parquet.
func columnPaths(l *columnar.Layout) map[string]bool {
	paths := map[string]bool{}
	var walk func(at string, fields []*columnar.Field)
	walk = func(at string, fields []*columnar.Field) {
		for _, f := range fields {
			path := at + f.Name
			if f.List {
				path += ".list.element"
			}
			if f.Type != columnar.Struct {
				paths[path] = true
			}
			walk(path+".", f.Fields)
		}
	}
	walk("", l.Fields)
	return paths
}

// compareFields checks that parquet-go finds the layout's names, types and ids in a file.
func compareFields(t *testing.T, node *parquet.Column, fields []*columnar.Field) {
	t.Helper()
	if len(node.Columns()) != len(fields) || len(fields) == 0 {
		t.Fatalf("%v has %d fields, not %d", node.Path(), len(node.Columns()), len(fields))
	}
	for i, f := range fields {
		c := node.Columns()[i]
		if c.Name() != f.Name || c.ID() != f.ID || f.ID == 0 || c.Required() != f.Required || c.Repeated() {
			t.Errorf("%v has id %d, and the layout's %s has %d", c.Path(), c.ID(), f.Name, f.ID)
		}
		if f.List {
			if c.Type().LogicalType().Value == nil || c.Type().LogicalType().Value.String() != "LIST" {
				t.Errorf("%v is no list", c.Path())
			}
			c = c.Column("list").Column("element")
			if c.ID() != f.ElementID || f.ElementID == 0 || !c.Optional() {
				t.Errorf("the elements of %v have id %d, not %d", c.Path(), c.ID(), f.ElementID)
			}
		}
		if f.Type == columnar.Struct {
			compareFields(t, c, f.Fields)
			continue
		}
		if want := map[columnar.Type]string{
			columnar.String: "STRING", columnar.Boolean: "BOOLEAN", columnar.Int: "INT32", columnar.Long: "INT64",
			columnar.Timestamp: "TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)", columnar.Decimal: "DECIMAL(38,9)",
		}[f.Type]; !c.Leaf() || c.Type().String() != want {
			t.Errorf("%v is %v, not %s", c.Path(), c.Type(), want)
		}
	}
}
