package columnar_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

// The schema in the footer depends on the layout alone.
func TestSchemaDoesNotDependOnData(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Patient", "ExplanationOfBenefit", "Foo"} {
		g := newGenerator(3, 0.3)
		a := open(t, roundTrip(t, options, `{"resourceType":"`+name+`"}`)[0]).Metadata()
		b := open(t, roundTrip(t, columnar.Options{RowGroupBytes: 1}, g.nasty(name, 20), g.resource(name))[0]).Metadata()
		if diff := cmp.Diff(a.Schema, b.Schema); diff != "" {
			t.Errorf("the schema of %s:\n%s", name, diff)
		}
		if diff := cmp.Diff(a.KeyValueMetadata, b.KeyValueMetadata); diff != "" {
			t.Errorf("the metadata of %s:\n%s", name, diff)
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	f := open(t, roundTrip(t, options, `{"resourceType":"Patient"}`)[0])
	got := map[string]string{}
	for _, kv := range f.Metadata().KeyValueMetadata {
		got[kv.Key] = kv.Value
	}
	want := map[string]string{
		"fhirkiln.layout": "r4-core/1", "fhirkiln.resource_type": "Patient", "fhir.version": "4.0.1",
		"fhirkiln.schema.sha256": columnar.LayoutOf("Patient").Hash(),
	}
	if !maps.Equal(got, want) {
		t.Errorf("the metadata is %v, not %v", got, want)
	}
	if columnar.LayoutPath != strings.ReplaceAll(columnar.LayoutName, "/", "-") {
		t.Error("the layout's path is not that of its name")
	}
}

// A file without field ids has the same columns, by name, and reads like one with them.
func TestOmitFieldIDs(t *testing.T) {
	t.Parallel()
	for _, omit := range []bool{false, true} {
		part := roundTrip(t, columnar.Options{OmitFieldIDs: omit}, patients(3)...)[0]
		check(t, part)
		for _, e := range open(t, part).Metadata().Schema[1:] {
			if has := e.FieldID != 0; has == omit && e.Name != "list" {
				t.Fatalf("omitted: %t, %s has the id %d", omit, e.Name, e.FieldID)
			}
		}
	}
}

func TestSameInputSameBytes(t *testing.T) {
	t.Parallel()
	g := newGenerator(5, 0.3)
	lines := patients(100)
	for range 10 {
		lines = append(lines, g.nasty("Patient", 5), `{"resourceType":"Claim"}`)
	}
	o := columnar.Options{RowGroupBytes: 20_000}
	first, _ := convert(t, o, strings.NewReader(ndjson(lines...)))
	for range 3 {
		again, _ := convert(t, o, strings.NewReader(ndjson(lines...)))
		if len(again) != len(first) {
			t.Fatalf("%d parts, not %d", len(again), len(first))
		}
		for i := range again {
			if !bytes.Equal(again[i].parquet, first[i].parquet) {
				t.Errorf("the part of %s has other bytes the second time", again[i].ResourceType)
			}
		}
	}
}

// A part is full before its footer is larger than readers accept, however small the rest is.
func TestFootersAreBounded(t *testing.T) {
	t.Parallel()
	const n = 150
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"resourceType":"ExplanationOfBenefit","id":"%d"}`, i)
	}
	parts := roundTrip(t, columnar.Options{RowGroupBytes: 1}, lines...)
	groups := 0
	for _, p := range parts {
		here := len(open(t, p).RowGroups())
		groups += here
		if by := open(t, p).Metadata().CreatedBy; !regexp.MustCompile(`^[a-z]+ version [0-9]+[.][0-9]+[.][0-9]+ \(build [^)]+\)$`).MatchString(by) {
			t.Errorf("created by %q, which parquet-mr does not read", by)
		}
		if p.FullFooter != (here > 100) {
			t.Errorf("the footer of %d row groups is full: %t", here, p.FullFooter)
		}
		if size := binary.LittleEndian.Uint32(p.parquet[len(p.parquet)-8:]); size > 10<<20 || here > 120 {
			t.Errorf("the footer of %d row groups has %d bytes", here, size)
		}
	}
	if len(parts) != 2 || groups < n {
		t.Errorf("%d parts have %d row groups", len(parts), groups)
	}
}
