package columnar

import (
	"slices"
	"strings"
	"sync"

	"fhirkiln/fhir"
)

// LayoutName is the layout that this package writes; LayoutPath is its form in paths.
// What is in it never changes: another set of columns is another layout.
const (
	LayoutName = "r4-core/1"
	LayoutPath = "r4-core-1"
)

// Layout is the columns of one resource type: a typed core made of R4's elements, and
// the side columns __extension, __contained, __residual and __origin, which take all
// that the core has no place for. It depends on nothing but the type's name. A type
// that R4 does not know has the elements that every resource has. [Deleted] has columns
// of its own: resourceType, id, url, __residual and __origin.
type Layout struct {
	ResourceType string
	Fields       []*Field // the root's, in their order

	root    *Field
	streams int      // how many fields have levels of their own
	columns []*Field // the leaves, in Parquet's order
	hash    func() string
}

// Type is what the values of a [Field] are.
type Type uint8

// The types of fields. A new one wants a case in elements, physical, newRowGroup, bounded,
// compare, copier.value and ddl's dialects, which take what they do not know for text.
const (
	Struct    Type = iota // has Fields
	String                // BYTE_ARRAY, STRING
	Boolean               // BOOLEAN
	Int                   // INT32
	Long                  // INT64
	Timestamp             // INT64, TIMESTAMP(UTC, MICROS)
	Decimal               // FIXED_LEN_BYTE_ARRAY(16), DECIMAL(38, 9)
)

// Field is a column, or a struct or list of columns.
type Field struct {
	Name      string
	Type      Type
	List      bool   // a list of Type
	Required  bool   // never null: resourceType alone
	ID        int    // field id, of the list itself for a list
	ElementID int    // field id of a list's elements
	FHIR      string // FHIR's own type: "dateTime", "HumanName", "Patient.contact"; "" for what fhirkiln adds
	Fields    []*Field

	role    role
	parent  *Field
	def     uint8    // definition level of a value, or of a struct that is there
	rep     uint8    // repetition level
	stream  int      // index of its own levels, -1 for a leaf that is no list
	column  int      // index of its column, -1 for a struct
	start   *Field   // of a roleDate: its companion, with the interval's begin; of a list, with an element for each of this one's. undo and assembler.value go by that
	lexeme  *Field   // of a roleDecimal: the same, with how the number was written
	members []member // of its JSON object, in FHIR's order
	byName  map[string]*member
}

// role says what a shredder does with a value.
type role uint8

const (
	roleStruct  role = iota
	roleText         // a JSON string
	roleDate         // a JSON string, and in start the interval's begin
	roleBoolean      // a JSON boolean
	roleInt          // a JSON number that is an int32, written as such
	roleDecimal      // a JSON number, and in lexeme how it was written if that is not plain
	roleJSON         // any value, as text
	roleOpen         // a choice of any type: {type, value, json}
	roleSide         // written by the shredder itself
)

// member is one name that a struct's JSON object may have.
type member struct {
	key   memberKey
	field *Field // what a member with a column goes to; for a memberOpen the struct {type, value, json}
	index int32  // among the struct's
	to    memberKind
	list  bool // a memberSibling of a list

	name      string
	nameBytes []byte // name
	typ       string // of a memberOpen: the type that its name says
}

type memberKind uint8

const (
	memberColumns   memberKind = iota // of a list or struct
	memberLeaf                        // of one value
	memberText                        // of one text: most of all there are
	memberID                          // a memberText: the resource's id
	memberVersion                     // and its meta.versionId
	memberOpen                        // of an open choice
	memberSibling                     // "_x": id and extensions of a primitive
	memberExtension                   // extension or modifierExtension
	memberContained                   // contained
	memberType                        // resourceType
)

// hasColumn says whether a member goes to a column of its own.
func (m *member) hasColumn() bool { return m.to <= memberVersion }

// LayoutOf returns the layout of a resource type. Layouts are immutable and shared;
// the first call for a type takes about a millisecond. Safe for concurrent use.
func LayoutOf(resourceType string) *Layout {
	if l, ok := layouts.Load(resourceType); ok {
		return l.(*Layout)
	}
	l, _ := layouts.LoadOrStore(resourceType, newLayout(resourceType))
	return l.(*Layout)
}

// layouts holds what LayoutOf has made, for the process; nothing in it ever changes.
var layouts sync.Map

func newLayout(resourceType string) *Layout {
	b := &layoutBuilder{layout: &Layout{ResourceType: resourceType}, r4: fhir.R4()}
	root := &Field{Name: resourceType, Type: Struct}
	b.layout.root = root
	if resourceType == Deleted {
		root.Fields = tombstoneFields()
	} else {
		b.resource()
	}
	b.number(root, nil)
	registered(resourceType).apply(b.layout)
	b.layout.Fields = root.Fields
	b.layout.hash = sync.OnceValue(b.layout.sum)
	return b.layout
}

// emptyLevel is the definition level of a list that is there and has no elements. Below it
// the list is absent.
func (f *Field) emptyLevel() uint8 { return f.def - 2 }

// nullElementLevel is the definition level of a list's element that is null.
func (f *Field) nullElementLevel() uint8 { return f.def - 1 }

// Path is where a column is: the names down to it, with a dot between them.
func (f *Field) Path() string {
	var names []string
	for ; f.parent != nil; f = f.parent {
		names = append(names, f.Name)
	}
	slices.Reverse(names)
	return strings.Join(names, ".")
}
