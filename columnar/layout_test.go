package columnar

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fhirkiln/fhir"
)

var update = flag.Bool("update", false, "write fieldids.txt and testdata/layouts.txt anew")

// allLayouts returns the layouts of all types that R4 knows, of types that it does not know, and of
// tombstones.
func allLayouts() []*Layout {
	var all []*Layout
	for _, name := range append(fhir.R4().ResourceTypes(), "DomainResource", Deleted) {
		all = append(all, LayoutOf(name))
	}
	return all
}

// Every field has an id in the registry, no id is there twice, and every line in it belongs to a
// field: an id stays taken forever.
func TestFieldIDs(t *testing.T) {
	t.Parallel()
	var again []byte
	for _, l := range allLayouts() {
		section, _ := findSection(l.ResourceType)
		ids := map[int]string{}
		for path, id := range parseSection(section) {
			take := func(id int) {
				if other, taken := ids[id]; taken || id <= 0 {
					t.Errorf("%s has the id %d for %s and for %q", l.ResourceType, id, path, other)
				}
				ids[id] = path
			}
			take(id.id)
			f := l.fieldAt(path)
			if f == nil {
				t.Errorf("%s has no field %s any more: its line must stay, and this test learn to leave it", l.ResourceType, path)
				continue
			}
			if f.List {
				take(id.element)
			} else if id.element != 0 {
				t.Errorf("%s.%s is no list and has an id for elements", l.ResourceType, path)
			}
		}
		again = appendSection(again, l, l.ResourceType)
	}
	if *update && !t.Failed() {
		if err := os.WriteFile("fieldids.txt", again, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(again) != fieldIDs {
		t.Errorf("%s; add them with: go test ./columnar -run TestFieldIDs -update", firstLine("fieldids.txt", fieldIDs, string(again)))
	}
}

// Any name has a layout, whatever the registry has at its place: that of a type that R4 does not
// know has the columns and ids of DomainResource.
func TestLayoutOfNoType(t *testing.T) {
	t.Parallel()
	text := func(l *Layout) string { return strings.TrimPrefix(l.Text(), "message "+l.ResourceType+" ") }
	want := text(LayoutOf("DomainResource"))
	for _, name := range []string{"", "\n", "patient", "../x", "Unheard", "HumanName", "Resource", "1 resourceType", "2 id", "\t4 versionId",
		"Account\n1 resourceType", "Patient\n", "\nPatient"} {
		l := LayoutOf(name)
		if l.ResourceType != name {
			t.Errorf("the layout of %q is of %q", name, l.ResourceType)
		}
		if got := text(l); got != want {
			t.Errorf("the layout of %q: %s", name, firstLine("the schema", got, want))
		}
	}
}

// fieldAt returns the field at a path, or nil.
func (l *Layout) fieldAt(path string) *Field {
	f := l.root
	for name := range strings.SplitSeq(path, ".") {
		if f = f.field(name); f == nil {
			return nil
		}
	}
	return f
}

// firstLine tells where two texts differ first.
func firstLine(name, have, want string) string {
	a, b := strings.Split(have, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			at := func(lines []string) string { return strings.Join(lines[min(i, len(lines)):min(i+1, len(lines))], "") }
			return fmt.Sprintf("line %d of %s is %q, not %q", i+1, name, at(a), at(b))
		}
	}
	return name + " is right"
}

// appendSection writes a type's section anew: its ids and, for fields without one, new ids above
// all that are in the section.
func appendSection(to []byte, l *Layout, name string) []byte {
	known := registry{}
	if section, ok := findSection(name); ok {
		known = parseSection(section)
	}
	last := 0
	for _, id := range known {
		last = max(last, id.id, id.element)
	}
	next := func() int { last++; return last }
	to = append(to, name...)
	to = append(to, '\n')
	var walk func(fields []*Field, depth int)
	walk = func(fields []*Field, depth int) {
		for _, f := range fields {
			id, ok := known[f.Path()]
			if !ok {
				id.id = next()
				if f.List {
					id.element = next()
				}
			}
			to = append(to, strings.Repeat("\t", depth)...)
			to = strconv.AppendInt(to, int64(id.id), 10)
			if f.List {
				to = append(to, '/')
				to = strconv.AppendInt(to, int64(id.element), 10)
			}
			to = append(to, ' ')
			to = append(to, f.Name...)
			to = append(to, '\n')
			walk(f.Fields, depth+1)
		}
	}
	walk(l.root.Fields, 0)
	return append(to, '\n')
}

// The layout is frozen: its columns, their types, order and ids. A change to this list is another
// layout, and needs another LayoutName.
func TestLayoutsAreFrozen(t *testing.T) {
	t.Parallel()
	const name = "testdata/layouts.txt"
	golden, err := os.ReadFile(name)
	if err != nil && !*update {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, l := range allLayouts() {
		fmt.Fprintf(&b, "%s %s %d\n", l.ResourceType, l.Hash(), len(l.columns))
	}
	if *update {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if b.String() != string(golden) {
		t.Errorf("the layout has changed: %s", firstLine(name, string(golden), b.String()))
	}
}

// The text is what people read, and what the hash is made of.
func TestText(t *testing.T) {
	t.Parallel()
	const want = `message Foo {
  required binary resourceType (STRING) = 1;
  optional binary id (STRING) = 2;
  optional group meta = 3 {
    optional binary versionId (STRING) = 4;
    optional binary lastUpdated (STRING) = 5;
    optional int64 __lastUpdated_start (TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)) = 6;
`
	if text := LayoutOf("Foo").Text(); !strings.HasPrefix(text, want) {
		t.Errorf("the text begins %s", text[:min(len(text), len(want))])
	}
}

// No two fields of a struct may differ by case alone: Spark and Hive do not tell them apart.
// fhirkiln's own names begin with two underscores, which no element's name does.
func TestNames(t *testing.T) {
	t.Parallel()
	var walk func(path string, fields []*Field)
	walk = func(path string, fields []*Field) {
		seen := map[string]bool{}
		for _, f := range fields {
			lower := strings.ToLower(f.Name)
			if seen[lower] {
				t.Errorf("%s has %s twice", path, f.Name)
			}
			seen[lower] = true
			if f.FHIR != "" && strings.HasPrefix(f.Name, "__") {
				t.Errorf("%s.%s is FHIR's and looks like one of fhirkiln's", path, f.Name)
			}
			walk(path+"."+f.Name, f.Fields)
		}
	}
	for _, l := range allLayouts() {
		walk(l.ResourceType, l.Fields)
	}
}

// Types that R4 does not know have the same layout except for the name. So do abstract types.
func TestUnknownTypes(t *testing.T) {
	t.Parallel()
	known := LayoutOf("DomainResource")
	for _, name := range []string{"Foo", "Resource", "HumanName", "Element", "string", "Patientx", "DomainResource"} {
		l := LayoutOf(name)
		if l != LayoutOf(name) {
			t.Errorf("LayoutOf(%q) is another one the second time", name)
		}
		if a, b := strings.TrimPrefix(l.Text(), "message "+name), strings.TrimPrefix(known.Text(), "message DomainResource"); a != b {
			t.Errorf("the layout of %s is not that of unknown types", name)
		}
	}
	patient := LayoutOf("Patient")
	i := slices.IndexFunc(patient.Fields, func(f *Field) bool { return f.Name == "birthDate" })
	if i < 0 || patient.Fields[i].FHIR != "date" || patient.Fields[i].Path() != "birthDate" {
		t.Error("Patient.birthDate is not there")
	}
}
