package main

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCommitted compares r4.txt with what gen makes of the definitions, if
// there are any.
func TestCommitted(t *testing.T) {
	t.Parallel()
	definitions := os.Getenv("FHIR_R4_DEFINITIONS")
	if definitions == "" {
		t.Skip("FHIR_R4_DEFINITIONS is not set; see main.go")
	}
	got, err := generate(definitions)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../r4.txt")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("r4.txt is not what go generate makes")
	}
}

// small is a specification with one instance of everything that occurs in HL7's.
func small() (types, resources string) {
	const (
		systemString = `http://hl7.org/fhirpath/System.String`
		stringType   = `<type><extension url="http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"><valueUrl value="string"/></extension><code value="` + systemString + `"/></type>`
		id           = `<representation value="xmlAttr"/>` + "0..1" + stringType
	)
	types = bundle(
		structure("Element", "complex-type", "", id, "extension 0..* Extension"),
		structure("BackboneElement", "complex-type", "Element", id, "extension 0..* Extension", "modifierExtension 0..* Extension"),
		structure("Extension", "complex-type", "Element", id, "extension 0..* Extension", "value[x] 0..1 string Quantity Reference"),
		structure("string", "primitive-type", "Element", id, "extension 0..* Extension", "value 0..1 "+systemString),
		structure("id", "primitive-type", "string", id, "extension 0..* Extension", "value 0..1 "+systemString),
		structure("xhtml", "primitive-type", "Element", id, "extension 0..0 Extension", "value 1..1 "+systemString),
		structure("Quantity", "complex-type", "Element", id, "extension 0..* Extension", "unit 0..1 string"),
		structure("Reference", "complex-type", "Element", id, "extension 0..* Extension", "reference 0..1 string"),
		strings.Replace(structure("SimpleQuantity", "complex-type", "Quantity", id), "specialization", "constraint", 1),
	)
	resources = bundle(
		structure("Resource", "resource", "", "0..1"+stringType),
		structure("Form", "resource", "Resource", "0..1"+stringType,
			"text 0..1 xhtml",
			"subject[x] 1..1 string Reference>Form,Resource",
			"item 0..* BackboneElement",
			"item.id 0..1 string", "item.extension 0..* Extension", "item.modifierExtension 0..* Extension",
			"item.value[x] 0..1 string Quantity Reference",
			"item.item 0..* #Form.item",
			"code 0..1 Element",
			"code.id 0..1 string", "code.extension 0..* Extension",
			"code.unit 1..1 string"),
		structure("MetadataResource", "logical", "Resource", "0..1"+stringType),
	)
	return types, resources
}

// structure returns a StructureDefinition. id is the content of its first
// element, after an optional representation; each other element is its name,
// cardinality and types, where a type may be followed by ">" and its targets.
func structure(name, kind, base, id string, elements ...string) string {
	var b strings.Builder
	b.WriteString(`<entry><resource><StructureDefinition xmlns="http://hl7.org/fhir"><id value="` + name + `"/><name value="` + name + `"/><contact><name value="HL7"/></contact><fhirVersion value="4.0.1"/><kind value="` + kind + `"/><abstract value="` + map[bool]string{true: "true", false: "false"}[base == "" || name == "BackboneElement"] + `"/>`)
	if base != "" {
		b.WriteString(`<baseDefinition value="` + profileBase + base + `"/>`)
	}
	b.WriteString(`<derivation value="specialization"/><snapshot><element><path value="` + name + `"/><min value="0"/><max value="*"/></element>`)
	representation, content, _ := strings.Cut(id, "0..1")
	b.WriteString(`<element><path value="` + name + `.id"/>` + representation + `<min value="0"/><max value="1"/>` + content + `</element>`)
	for _, e := range elements {
		f := strings.Fields(e)
		minimum, maximum, _ := strings.Cut(f[1], "..")
		b.WriteString("\n" + `<element><path value="` + name + "." + f[0] + `"/><min value="` + minimum + `"/><max value="` + maximum + `"/>`)
		for _, typ := range f[2:] {
			if strings.HasPrefix(typ, "#") {
				b.WriteString(`<contentReference value="` + typ + `"/>`)
				continue
			}
			code, targets, _ := strings.Cut(typ, ">")
			b.WriteString(`<type><code value="` + code + `"/>`)
			for target := range strings.SplitSeq(targets, ",") {
				if target != "" {
					b.WriteString(`<targetProfile value="` + profileBase + target + `"/>`)
				}
			}
			b.WriteString(`</type>`)
		}
		b.WriteString(`</element>`)
	}
	b.WriteString(`</snapshot><differential><element><path value="ignored"/></element></differential></StructureDefinition></resource></entry>`)
	return b.String()
}

func bundle(entries ...string) string {
	return `<Bundle xmlns="http://hl7.org/fhir">` + strings.Join(entries, "\n") + `</Bundle>`
}

func writeZip(t *testing.T, files map[string]string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "definitions.jar")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for path, text := range files {
		w, err := z.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	types, resources := small()
	in := writeZip(t, map[string]string{
		"some/folder/profiles-types.xml":     types,
		"some/folder/profiles-resources.xml": resources,
		"some/folder/profiles-others.xml":    "not XML",
	})
	out := filepath.Join(t.TempDir(), "r4.txt")
	if err := run(in, out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(string(text), "\nfhir ")
	want := `4.0.1
* string|Quantity|Reference

primitive-type id : string

primitive-type string : Element

primitive-type xhtml : Element
 extension 0..0 Extension

abstract complex-type BackboneElement : Element
 modifierExtension 0..* Extension

abstract complex-type Element
 @id 0..1 string
 extension 0..* Extension

complex-type Extension : Element
 value[x] 0..1 *

complex-type Quantity : Element
 unit 0..1 string

complex-type Reference : Element
 reference 0..1 string

resource Form : Resource
 text 0..1 xhtml
 subject[x] 1..1 string|Reference(Form)
 item 0..* BackboneElement
  value[x] 0..1 *
  item 0..* #Form.item
 code 0..1 Element
  unit 1..1 string

abstract resource Resource
 id 0..1 id
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// Input that r4.txt cannot express is refused, not dropped.
func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		old, new string // in the small specification
		want     string // in the error
	}{
		{"another version", `<fhirVersion value="4.0.1"/><kind value="resource"/>`, `<fhirVersion value="4.3.0"/><kind value="resource"/>`, `is for FHIR "4.3.0", not 4.0.1`},
		{"unknown kind", `<kind value="resource"/>`, `<kind value="interface"/>`, `unknown kind "interface"`},
		{"unknown type", `Form.text"/><min value="0"/><max value="1"/><type><code value="xhtml"/>`, `Form.text"/><min value="0"/><max value="1"/><type><code value="html"/>`, "Form.text: type html is not defined"},
		{"type twice", `Form.subject[x]"/><min value="1"/><max value="1"/>`, `Form.subject[x]"/><min value="1"/><max value="1"/><type><code value="string"/></type>`, "Form.subject[x]: type string is listed twice"},
		{"several types of no choice", "Form.subject[x]", "Form.subject", "has several types but is not a choice"},
		{"no type", `<type><code value="xhtml"/></type>`, "", "Form.text: has no type"},
		{"unknown cardinality", `Form.text"/><min value="0"/><max value="1"/>`, `Form.text"/><min value="0"/><max value="3"/>`, "Form.text: unknown cardinality 0..3"},
		{"foreign target", profileBase + `Form"/><targetProfile`, `https://example.org/Form"/><targetProfile`, "target https://example.org/Form is not in this specification"},
		{"unknown target", profileBase + `Form"/><targetProfile`, profileBase + `Bot"/><targetProfile`, "target Bot is not a resource type"},
		{"content reference to nothing", "#Form.item", "#Form.items", "content reference to Form.items"},
		{"content reference to a leaf", "#Form.item", "#Form.text", "content reference to Form.text"},
		{"content reference and type", `<contentReference`, `<type><code value="string"/></type><contentReference`, "content reference and content of its own"},
		{"children of a leaf", `Form.text"/><min value="0"/><max value="1"/><type><code value="xhtml"/></type></element>`, `Form.text"/><min value="0"/><max value="1"/><type><code value="xhtml"/></type></element><element><path value="Form.text.x"/><min value="0"/><max value="1"/><type><code value="string"/></type></element>`, "Form.text: has children that do not fit"},
		{"element twice", `Form.text"`, `Form.code"`, "Form.code: defined twice"},
		{"child before its parent", `Form.text"`, `Form.link.x"`, "Form.link.x: comes before its parent"},
		{"definition twice", "</Bundle>", structure("string", "primitive-type", "Element", "0..1") + "</Bundle>", "string: defined twice"},
		{"name unlike its elements", `<name value="string"/>`, `<name value="text"/>`, "text: has no snapshot"},
		{"unlike its base", `Form.item.modifierExtension"/><min value="0"/><max value="*"/>`, `Form.item.modifierExtension"/><min value="0"/><max value="1"/>`, "Form.item.modifierExtension: differs from BackboneElement.modifierExtension"},
		{"unknown base", `<baseDefinition value="` + profileBase + `string"/>`, `<baseDefinition value="` + profileBase + `text"/>`, "its base text is not defined"},
		{"no open type", "Extension.value[x]", "Extension.content[x]", "Extension.value[x] is not defined"},
		{"not XML", "</Bundle>", "", "profiles-types.xml: XML syntax error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			types, resources := small()
			changedTypes, changedResources := strings.Replace(types, tt.old, tt.new, 1), strings.Replace(resources, tt.old, tt.new, 1)
			if changedTypes == types && changedResources == resources {
				t.Fatalf("%q is not in the specification", tt.old)
			}
			_, err := generate(writeZip(t, map[string]string{"profiles-types.xml": changedTypes, "profiles-resources.xml": changedResources}))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReadZipRefuses(t *testing.T) {
	t.Parallel()
	types, resources := small()
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a file is missing": {map[string]string{"profiles-types.xml": types}, "no file is named profiles-resources.xml"},
		"a file is twice":   {map[string]string{"a/profiles-types.xml": types, "b/profiles-types.xml": types, "profiles-resources.xml": resources}, "two files are named profiles-types.xml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := generate(writeZip(t, tt.files)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
	if err := run("", "r4.txt"); err == nil || !strings.Contains(err.Error(), "FHIR_R4_DEFINITIONS") {
		t.Errorf("without definitions: %v", err)
	}
}
