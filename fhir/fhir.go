// Package fhir is FHIR R4 4.0.1 as data: the elements of every resource type
// and datatype, in the order of HL7's snapshots, as JSON has them.
//
// The common path is to look a type up and to walk its members, which are the
// names that its JSON object may have:
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
// The tree has no end: an Extension holds Extensions, a Questionnaire.item
// holds items, an Identifier holds a Reference that holds an Identifier. In
// each case the walk meets a *Type that it is inside of already, so whoever
// walks keeps the types of the path and compares pointers.
//
// Two members of FHIR's JSON are no elements and are not in the tree: the
// resourceType of a resource (ExampleScenario.instance has an element of that
// name, though), and the sibling "_name" of a primitive "name", whose object
// has the members of the primitive's own type (id and extension). See
// https://hl7.org/fhir/R4/json.html.
//
// # The data
//
// r4.txt is generated from HL7's StructureDefinitions and embedded. Nothing is
// parsed until it is asked for, and then only that type and what it inherits
// from. To generate it again, see the comment in internal/gen/main.go.
package fhir

import (
	_ "embed"
	"slices"
	"sync"
)

//go:generate go run ./internal/gen -definitions=$FHIR_R4_DEFINITIONS -out=r4.txt

//go:embed r4.txt
var r4Text string

// r4 is parsed once for the process; what it gives out is immutable.
var r4 = sync.OnceValue(func() *Definitions { return newDefinitions(r4Text) })

// R4 returns the definitions of FHIR R4 4.0.1. Every call returns the same
// value, and the first one costs about a tenth of a millisecond.
func R4() *Definitions { return r4() }

// Definitions are the types of one version of FHIR.
//
// All methods may be called from any goroutine. What they return is shared and
// immutable: nobody may write to a *Type, to its elements or to any slice in
// them. A name always gives the same *Type.
type Definitions struct {
	version string
	open    []string // the types of an open choice
	entries map[string]*entry
	names   []string // of entries, sorted within each kind
}

// entry is one type, parsed when it is first asked for.
type entry struct {
	header
	body string
	once sync.Once
	typ  *Type
}

// Version returns the version of FHIR, "4.0.1", as in meta data and the
// CapabilityStatement's fhirVersion.
func (d *Definitions) Version() string { return d.version }

// Lookup returns the resource type, datatype or primitive of that name:
// "Patient", "HumanName", "code". Names are case-sensitive. The four abstract
// types Resource, DomainResource, Element and BackboneElement are found too;
// profiles of datatypes, SimpleQuantity and MoneyQuantity, are not, since
// elements call them Quantity.
func (d *Definitions) Lookup(name string) (*Type, bool) {
	e, ok := d.entries[name]
	if !ok {
		return nil, false
	}
	e.once.Do(func() { e.typ = d.parse(e) })
	return e.typ, true
}

// TypeOf returns the type of a member's values: the elements defined in place
// for a backbone element, else the type that Lookup finds under m.Type. m must
// come from a type of d. For contained and other members of type Resource it
// is the abstract Resource; each value names its own type in resourceType.
func (d *Definitions) TypeOf(m Member) *Type {
	if m.Element.Backbone != nil {
		return m.Element.Backbone
	}
	t, _ := d.Lookup(m.Type)
	return t
}

// ResourceTypes returns the names of the 146 concrete resource types, sorted.
// The slice is the caller's.
func (d *Definitions) ResourceTypes() []string {
	return d.concrete(KindResource)
}

// DataTypes returns the names of the concrete datatypes, sorted: first the 20
// primitives, then the complex ones. The slice is the caller's.
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
