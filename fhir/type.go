package fhir

// Kind classifies a [Type].
type Kind uint8

const (
	// KindPrimitive is a leaf such as code or decimal. Its elements are those
	// of the object under "_name", not of the value.
	KindPrimitive Kind = iota + 1
	// KindComplex is a datatype with elements, such as HumanName.
	KindComplex
	// KindResource is a resource type. Its JSON objects also have the member
	// resourceType, which is not an element.
	KindResource
	// KindBackbone is a type without a name of its own, whose elements are
	// defined in place, such as Patient.contact or Timing.repeat.
	KindBackbone
)

// String returns the kind's name for messages.
func (k Kind) String() string {
	switch k {
	case KindPrimitive:
		return "primitive"
	case KindComplex:
		return "complex"
	case KindResource:
		return "resource"
	case KindBackbone:
		return "backbone"
	}
	return "invalid"
}

// JSON is how a value of a type is written in JSON
// (https://hl7.org/fhir/R4/json.html#primitive).
type JSON uint8

const (
	JSONObject  JSON = iota + 1 // everything but primitives
	JSONString                  // all primitives except those below
	JSONNumber                  // decimal, integer, positiveInt, unsignedInt
	JSONBoolean                 // boolean
)

// String returns JSON's own name for it.
func (j JSON) String() string {
	switch j {
	case JSONObject:
		return "object"
	case JSONString:
		return "string"
	case JSONNumber:
		return "number"
	case JSONBoolean:
		return "boolean"
	}
	return "invalid"
}

// Type is a resource type, a datatype, or the type of a backbone element.
type Type struct {
	// Name is FHIR's name ("Patient", "HumanName", "code"), or the path of a
	// backbone element ("Patient.contact").
	Name string
	Kind Kind
	JSON JSON
	// Base is the type that this one extends, such as "DomainResource" or
	// "Quantity". For a backbone element it is "BackboneElement" or "Element",
	// and for Element and Resource it is empty.
	Base string
	// Abstract types have no instances: Element, BackboneElement, Resource,
	// DomainResource.
	Abstract bool
	// Elements are in the order of HL7's snapshot, inherited ones first: id,
	// meta, implicitRules, language, text, contained, extension and
	// modifierExtension for most resource types; id and extension for a
	// datatype; id, extension and modifierExtension for a BackboneElement.
	Elements []Element

	members []Member
}

// Element is one element of a type.
type Element struct {
	// Name is FHIR's name, without the "[x]" of a choice. It is also the JSON
	// name, except for choices.
	Name string
	// Choice elements appear in JSON under Name plus the type of the value, at
	// most one per object: value[x] as valueQuantity.
	Choice bool
	// Open choices have HL7's open type "*": the same 50 datatypes everywhere
	// (https://hl7.org/fhir/R4/datatypes.html#open).
	Open bool
	// Types are the codes of the types that a value may have, in HL7's order.
	// Only a Choice can have more than one. Lookup finds all of them. An
	// element with a Backbone has "BackboneElement" or "Element" here. The
	// FHIRPath types that HL7 gives to id and url are mapped to FHIR types: the
	// id of a resource is an id, any other id a string; Extension.url is a uri.
	Types []string
	// Targets are the resource types that the Reference among Types may point
	// to. None means any.
	Targets []string
	// Array elements may repeat (maximum "*") and are arrays in JSON. Others
	// have a maximum of 1.
	Array bool
	// Min is the minimum number of values, 0 or 1.
	Min int
	// Attribute elements are attributes in XML and so have no "_name" sibling
	// in JSON: the id of datatypes and backbone elements, and Extension.url.
	// (The "_div" sibling can hold only an id: the type xhtml has no extension.)
	Attribute bool
	// Backbone is the type of the values if it is defined in place, otherwise
	// nil. With a ContentReference it is the referenced *Type itself.
	Backbone *Type
	// ContentReference names the backbone type that this element takes its
	// content from, always of the same resource type: "Questionnaire.item" for
	// the item within Questionnaire.item. It is empty for all other elements.
	ContentReference string
	// Recursive is set if the ContentReference is to a type that encloses this
	// element, as in Questionnaire.item.item, rather than mere reuse, as in
	// Observation.component.referenceRange.
	Recursive bool
}

// Member is one JSON name of an element, with the type of the values under that
// name.
type Member struct {
	Name    string // as in JSON: "birthDate", "valueQuantity"
	Type    string // one of Element.Types
	Element *Element
}

// Members returns the members of the type's JSON objects, in the order of the
// elements and, within a choice, of Element.Types. The slice is shared: do not
// write to it.
func (t *Type) Members() []Member { return t.members }

// Member returns the member with that JSON name. It searches linearly; to decode
// many objects, build an index of Members.
func (t *Type) Member(name string) (Member, bool) {
	for _, m := range t.members {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

// Element returns the element with that name. A choice goes by its name without
// "[x]" or type.
func (t *Type) Element(name string) (*Element, bool) {
	for i := range t.Elements {
		if t.Elements[i].Name == name {
			return &t.Elements[i], true
		}
	}
	return nil, false
}

// JSONName returns the element's JSON name for a value of type typ, which must
// be one of e.Types.
func (e *Element) JSONName(typ string) string {
	if !e.Choice {
		return e.Name
	}
	first := typ[0]
	if 'a' <= first && first <= 'z' {
		first -= 'a' - 'A'
	}
	return e.Name + string(first) + typ[1:]
}
