package columnar

import (
	"slices"
	"strings"
	"sync"

	"fhirkiln/fhir"
)

// LayoutName is the layout that this package writes, and LayoutPath its form in paths. A layout
// never changes: a different set of columns is a different layout.
const (
	LayoutName = "r4-core/1"
	LayoutPath = "r4-core-1"
)

// Layout describes the columns of one resource type: a typed core of R4's elements, the side
// columns __extension, __contained and __residual for everything the core has no place for, and
// __origin. It depends only on the type's name. A type that R4 does not know has the elements of
// DomainResource. [Deleted] has columns of its own: resourceType, id, url, __residual and
// __origin.
type Layout struct {
	ResourceType string
	Fields       []*Field // the root's, in order

	root    *Field
	streams int      // number of fields with levels of their own
	columns []*Field // the leaves, in Parquet's order
	hash    func() string
}

// Type is the type of a [Field]'s values.
type Type uint8

// The types of fields. A new one needs, where it is not to be taken for text:
//
//   - its place in the layout: primitive (layout_build.go), which also gives it a role; a new role
//     needs a case in shredder.value and assembler.value, and in structOf if it has a companion
//   - its schema: elements, physical and, for a new physical type, typeText (schema.go)
//   - its values: newColumn (column.go), bounded and compare (statistics.go), copier.value (copy.go)
//   - its names elsewhere, which have no default: the dialects of package ddl, and ddl.icebergTypes
//   - its ids and hash: fieldids.txt and testdata/layouts.txt, which go test -update writes
//
// It changes the columns, so it also needs a new [LayoutName] and [LayoutPath].
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
	ID        int    // field id; for a list, that of the list itself
	ElementID int    // field id of a list's elements
	FHIR      string // FHIR's own type: "dateTime", "HumanName", "Patient.contact"; "" for what fhirkiln adds
	Fields    []*Field

	role   role
	parent *Field
	def    uint8 // definition level of a value, or of a struct that is there
	rep    uint8 // repetition level
	stream int   // index of its own levels, -1 for a leaf that is not a list
	column int   // index of its column, -1 for a struct
	// A list's companion has an element, maybe null, for each of the list's: assembler.value
	// relies on that.
	start   *Field   // of a roleDate: its companion, with the start of the interval
	lexeme  *Field   // of a roleDecimal: its companion, with how the number was written
	members []member // of its JSON object, in FHIR's order
	byName  map[string]*member
}

// role says what a shredder does with a value, and an assembler to undo it.
type role uint8

const (
	roleStruct  role = iota
	roleText         // a JSON string
	roleDate         // a JSON string; start has the start of its interval
	roleBoolean      // a JSON boolean
	roleInt          // a JSON number that is an int32 and written as one
	roleDecimal      // a JSON number; lexeme has how it was written, if that is not plain
	roleJSON         // any value, as text
	roleOpen         // a choice of any type: {type, value, json}
	roleSide         // written by the shredder itself
)

// member is one name that a struct's JSON object may have.
type member struct {
	key   memberKey
	field *Field // where a member with a column goes; for a memberOpen the struct {type, value, json}
	index int32  // among the struct's members
	to    memberKind
	list  bool // a memberSibling of a list

	name      string
	nameBytes []byte // name
	typ       string // of a memberOpen: the type that its name says
}

// memberKind says where a member's value goes. hasColumn depends on the order.
type memberKind uint8

const (
	memberColumns   memberKind = iota // a list or struct
	memberLeaf                        // a single value
	memberText                        // a single text: the most frequent kind
	memberID                          // a memberText: the resource's id
	memberVersion                     // a memberText: its meta.versionId
	memberOpen                        // one type of an open choice
	memberSibling                     // "_x": id and extensions of a primitive
	memberExtension                   // extension or modifierExtension
	memberContained                   // contained
	memberType                        // resourceType
)

// hasColumn reports whether a member goes to a column of its own.
func (m *member) hasColumn() bool { return m.to <= memberVersion }

// LayoutOf returns the layout of a resource type. It takes any name and does not check it: a name
// that is no resource type of R4, even "patient", "../x" or "", gets the columns of DomainResource,
// under that name. A [Writer] quarantines resources whose type has no capitalized name of letters.
//
// Layouts are immutable, shared, and kept for the life of the process. The first call for a name
// takes about a millisecond. LayoutOf is safe for concurrent use.
func LayoutOf(resourceType string) *Layout {
	if l, ok := layouts.Load(resourceType); ok {
		return l.(*Layout)
	}
	l, _ := layouts.LoadOrStore(resourceType, newLayout(resourceType))
	return l.(*Layout)
}

// layouts keeps what LayoutOf has made, for the life of the process.
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

// emptyLevel is the definition level of a list that is there but has no elements. Below it, the
// list is absent.
func (f *Field) emptyLevel() uint8 { return f.def - 2 }

// nullElementLevel is the definition level of a list's element that is null.
func (f *Field) nullElementLevel() uint8 { return f.def - 1 }

// Path returns the names from the root down to the field, joined by dots.
func (f *Field) Path() string {
	var names []string
	for ; f.parent != nil; f = f.parent {
		names = append(names, f.Name)
	}
	slices.Reverse(names)
	return strings.Join(names, ".")
}
