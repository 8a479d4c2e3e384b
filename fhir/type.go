package fhir

// Kind says what sort of type a Type is.
type Kind uint8

const (
	// KindPrimitive is a leaf such as code or decimal. Its elements are those
	// of the object under "_name", not of the value.
	KindPrimitive Kind = iota + 1
	// KindComplex is a datatype with elements, such as HumanName.
	KindComplex
	// KindResource is a resource type. Its JSON objects also have the member
	// resourceType, which is no element.
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
	JSONObject  JSON = iota + 1 // everything that is no primitive
	JSONString                  // all primitives but the following
	JSONNumber                  // decimal, integer, positiveInt, unsignedInt
	JSONBoolean                 // boolean
)

// String returns JSON's own word.
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
	// Name is FHIR's name, "Patient", "HumanName", "code"; of a backbone
	// element it is its path, "Patient.contact".
	Name string
	Kind Kind
	JSON JSON
	// Base is the type that this one extends: "DomainResource", "Quantity",
	// and "BackboneElement" or "Element" for a backbone element. It is empty
	// for Element and Resource.
	Base string
	// Abstract types have no instances: Element, BackboneElement, Resource,
	// DomainResource.
	Abstract bool
	// Elements are in the order of HL7's snapshot, inherited ones included,
	// which come first: id, meta, implicitRules, language, text, contained,
	// extension and modifierExtension for most resource types; id and
	// extension for a datatype; id, extension and modifierExtension for a
	// BackboneElement.
	Elements []Element

	members []Member
}

// Element is one element of a type.
type Element struct {
	// Name is FHIR's name, without the "[x]" of a choice. For all but choices
	// it is the name in JSON too.
	Name string
	// Choice elements appear in JSON under a name made of Name and the type of
	// the value, at most one of them in an object: value[x] as valueQuantity.
	Choice bool
	// Open choices are HL7's open type "*": the same 50 datatypes everywhere
	// (https://hl7.org/fhir/R4/datatypes.html#open).
	Open bool
	// Types are the codes of the types that a value may have, in HL7's order:
	// one, or more if Choice is set. Lookup knows all of them. An element with
	// a Backbone has "BackboneElement" or "Element" here. The FHIRPath types
	// that HL7 gives to id and url are mapped to FHIR's: id of a resource is
	// an id, of anything else a string; Extension.url is a uri.
	Types []string
	// Targets are the resource types that the Reference among Types may point
	// to. None means any.
	Targets []string
	// Array elements may repeat (maximum "*"): JSON has an array. Others have
	// a maximum of 1.
	Array bool
	// Min is the least number of values, 0 or 1.
	Min int
	// Attribute elements are attributes in XML and so have no "_name" sibling
	// in JSON: the id of datatypes and backbone elements, and Extension.url.
	// (div has none either but for its id: the type xhtml has no extension.)
	Attribute bool
	// Backbone is the type of the values if it is defined in place, else nil.
	// With a ContentReference it is the very type that is referred to.
	Backbone *Type
	// ContentReference names the backbone type, always of the same resource
	// type, that this element takes its content from: "Questionnaire.item" for
	// item within Questionnaire.item. It is empty for all others.
	ContentReference string
	// Recursive is set if the ContentReference is to a type that this element
	// is within, as in Questionnaire.item.item, and not merely a reuse, as in
	// Observation.component.referenceRange.
	Recursive bool
}

// Member is one JSON name of an element with the type that its values have
// under this name.
type Member struct {
	Name    string // as in JSON: "birthDate", "valueQuantity"
	Type    string // one of Element.Types
	Element *Element
}

// Members returns the members of the type's JSON objects in the order of the
// elements, and of Element.Types within a choice. The slice is shared: it must
// not be written to.
func (t *Type) Members() []Member { return t.members }

// Member returns the member with that JSON name. It compares names one by one;
// whoever decodes many objects makes an index of Members.
func (t *Type) Member(name string) (Member, bool) {
	for _, m := range t.members {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

// Element returns the element of that name, which for a choice is the name
// without "[x]" or type.
func (t *Type) Element(name string) (*Element, bool) {
	for i := range t.Elements {
		if t.Elements[i].Name == name {
			return &t.Elements[i], true
		}
	}
	return nil, false
}

// JSONName returns the element's name in JSON for a value of that type, which
// must be one of e.Types.
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
