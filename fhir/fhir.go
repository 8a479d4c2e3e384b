// Package fhir holds FHIR R4 4.0.1 as data: the elements of every resource type
// and datatype, in the order of HL7's snapshots, under their JSON names.
//
// Typical use looks up a type and walks its members, the names that its JSON
// object may have:
//
//	r4 := fhir.R4()
//	patient, ok := r4.Lookup("Patient")
//	for _, m := range patient.Members() {
//		// id, meta, ..., deceasedBoolean, deceasedDateTime, ...
//		child := r4.TypeOf(m)
//		switch child.Kind {
//		case fhir.KindPrimitive: // a leaf; child.JSON tells string, number or boolean
//		default:                 // an object with members of its own
//		}
//	}
//
// The tree is infinite: an Extension holds Extensions, a Questionnaire.item
// holds items, an Identifier holds a Reference that holds an Identifier. In
// each case the walk meets a *Type that it is already inside. To detect this,
// keep the types on the current path and compare pointers.
//
// Two members of FHIR's JSON are not elements and are not in the tree: the
// resourceType of a resource (although ExampleScenario.instance has an element
// of that name), and the sibling "_name" of a primitive "name", whose object
// has the members of the primitive's own type (id and extension). See
// https://hl7.org/fhir/R4/json.html.
//
// # The data
//
// r4.txt is generated from HL7's StructureDefinitions and embedded. A type is
// parsed, with its base types, when it is first looked up. To regenerate the
// file, see the comment in internal/gen/main.go.
package fhir

import (
	_ "embed"
	"slices"
	"sync"
)

//go:generate go run ./internal/gen -definitions=$FHIR_R4_DEFINITIONS -out=r4.txt

//go:embed r4.txt
var r4Text string

// r4 is parsed once per process; what it hands out is immutable.
var r4 = sync.OnceValue(func() *Definitions { return newDefinitions(r4Text) })

// R4 returns the definitions of FHIR R4 4.0.1. Every call returns the same
// value, and the first one costs about a tenth of a millisecond.
func R4() *Definitions { return r4() }

// Definitions are the types of one version of FHIR.
//
// It is safe for concurrent use. The types that its methods return are shared
// and immutable: do not write to a *Type, to its elements or to any slice in
// them. A name always yields the same *Type.
type Definitions struct {
	version string
	open    []string // the types of an open choice
	entries map[string]*entry
	names   []string // of entries, sorted within each kind
}

// entry is one type, parsed when it is first looked up.
type entry struct {
	header
	body string
	once sync.Once
	typ  *Type
}

// Version returns the FHIR version, "4.0.1", as metadata and the
// CapabilityStatement's fhirVersion spell it.
func (d *Definitions) Version() string { return d.version }

// Lookup returns the named resource type, datatype or primitive: "Patient",
// "HumanName", "code". Names are case-sensitive. Lookup also finds the four
// abstract types Resource, DomainResource, Element and BackboneElement, but not
// the datatype profiles SimpleQuantity and MoneyQuantity, which elements call
// Quantity.
func (d *Definitions) Lookup(name string) (*Type, bool) {
	e, ok := d.entries[name]
	if !ok {
		return nil, false
	}
	e.once.Do(func() { e.typ = d.parse(e) })
	return e.typ, true
}

// TypeOf returns the type of a member's values: m.Element.Backbone for a
// backbone element, otherwise the type that Lookup finds under m.Type. m must
// come from a type of d. For contained and other members of type Resource it
// returns the abstract Resource; each value names its own type in resourceType.
func (d *Definitions) TypeOf(m Member) *Type {
	if m.Element.Backbone != nil {
		return m.Element.Backbone
	}
	t, _ := d.Lookup(m.Type)
	return t
}

// ResourceTypes returns the names of the 146 concrete resource types, sorted.
// The caller owns the slice.
func (d *Definitions) ResourceTypes() []string {
	return d.concrete(KindResource)
}

// DataTypes returns the names of the concrete datatypes: first the 20
// primitives, then the complex types, each sorted. The caller owns the slice.
func (d *Definitions) DataTypes() []string {
	return slices.Concat(d.concrete(KindPrimitive), d.concrete(KindComplex))
}

func (d *Definitions) concrete(k Kind) []string {
	var names []string
	for _, name := range d.names {
		if e := d.entries[name]; e.kind == k && !e.abstract {
			names = append(names, name)
		}
	}
	return names
}
