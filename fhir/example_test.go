package fhir_test

import (
	"fmt"
	"slices"

	"fhirkiln/fhir"
)

// The leaves of an Identifier, with every type at most once on a path. Ids and
// extensions are left out to keep the list short.
func Example() {
	r4 := fhir.R4()
	var walk func(path string, t *fhir.Type, within []*fhir.Type)
	walk = func(path string, t *fhir.Type, within []*fhir.Type) {
		if t.Kind == fhir.KindPrimitive {
			fmt.Printf("%s: %s (%s)\n", path, t.Name, t.JSON)
			return
		}
		within = append(within, t)
		for _, m := range t.Members() {
			child := r4.TypeOf(m)
			if m.Name == "id" || m.Name == "extension" || slices.Contains(within, child) {
				continue
			}
			name := path + "." + m.Name
			if m.Element.Array {
				name += "[]"
			}
			walk(name, child, within)
		}
	}
	identifier, _ := r4.Lookup("Identifier")
	walk("Identifier", identifier, nil)
	// Output:
	// Identifier.use: code (string)
	// Identifier.type.coding[].system: uri (string)
	// Identifier.type.coding[].version: string (string)
	// Identifier.type.coding[].code: code (string)
	// Identifier.type.coding[].display: string (string)
	// Identifier.type.coding[].userSelected: boolean (boolean)
	// Identifier.type.text: string (string)
	// Identifier.system: uri (string)
	// Identifier.value: string (string)
	// Identifier.period.start: dateTime (string)
	// Identifier.period.end: dateTime (string)
	// Identifier.assigner.reference: string (string)
	// Identifier.assigner.type: uri (string)
	// Identifier.assigner.display: string (string)
}

func ExampleType_Member() {
	observation, _ := fhir.R4().Lookup("Observation")
	m, ok := observation.Member("valueQuantity")
	fmt.Println(m.Element.Name, m.Element.Choice, m.Type, ok)
	// Output: value true Quantity true
}

func ExampleElement() {
	questionnaire, _ := fhir.R4().Lookup("Questionnaire")
	item, _ := questionnaire.Element("item")
	inner, _ := item.Backbone.Element("item")
	fmt.Println(inner.ContentReference, inner.Recursive, inner.Backbone == item.Backbone)
	// Output: Questionnaire.item true true
}
