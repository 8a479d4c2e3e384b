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

// layoutBuilder builds one layout.
type layoutBuilder struct {
	layout *Layout
	r4     *fhir.Definitions
}

// resource gives the root the columns of its resource type.
func (b *layoutBuilder) resource() {
	root := b.layout.root
	add := func(fields ...*Field) { root.Fields = append(root.Fields, fields...) }

	add(&Field{Name: "resourceType", Type: String, Required: true, role: roleSide})
	typ, known := b.r4.Lookup(root.Name)
	if !known || typ.Kind != fhir.KindResource || typ.Abstract {
		typ, _ = b.r4.Lookup("DomainResource")
	}
	root.members = []member{{name: "resourceType", to: memberType}}
	b.structOf(root, typ, nil)
	add(sideFields()...)
}

// structOf gives f the columns of a type. within are the types of the path down to it:
// none occurs twice, which is what ends the tree.
func (b *layoutBuilder) structOf(f *Field, typ *fhir.Type, within []*fhir.Type) {
	within = append(slices.Clip(within), typ)
	resource := len(within) == 1
	extensions := func() { // in their place, and for every struct
		if !slices.ContainsFunc(f.members, func(m member) bool { return m.to == memberExtension }) {
			f.members = append(f.members, member{name: "extension", to: memberExtension}, member{name: "modifierExtension", to: memberExtension})
		}
	}
	defer extensions()
	for _, m := range typ.Members() {
		switch {
		case m.Name == "extension" || m.Name == "modifierExtension":
			extensions()
			continue
		case m.Name == "contained" && resource:
			f.members = append(f.members, member{name: m.Name, to: memberContained})
			continue
		case m.Name == "id" && !resource, !kept(typ, m.Name, within):
			continue // too rare for a column: __residual
		}
		if m.Element.Open {
			b.open(f, m)
			continue
		}
		child := b.field(m, within)
		f.Fields = append(f.Fields, child)
		to := memberColumns
		switch {
		case child.List || child.role == roleStruct:
		case child.role != roleText:
			to = memberLeaf
		case resource && m.Name == "id":
			to = memberID
		case typ.Name == "Meta" && m.Name == "versionId":
			to = memberVersion
		default:
			to = memberText
		}
		f.members = append(f.members, member{name: m.Name, to: to, field: child})
		switch child.role {
		case roleDate:
			child.start = &Field{Name: "__" + m.Name + "_start", Type: Timestamp, List: child.List, role: roleSide}
			f.Fields = append(f.Fields, child.start)
		case roleDecimal:
			child.lexeme = &Field{Name: "__" + m.Name + "_lexeme", Type: String, List: child.List, role: roleSide}
			f.Fields = append(f.Fields, child.lexeme)
		}
		if b.r4.TypeOf(m).Kind == fhir.KindPrimitive && !m.Element.Attribute {
			f.members = append(f.members, member{name: "_" + m.Name, to: memberSibling, list: child.List})
		}
	}
}

// kept says whether a member of a datatype has a column where the datatype is within
// another that may hold it again: of a Reference's identifier and of an Identifier's
// assigner only what people join by is kept.
func kept(typ *fhir.Type, name string, within []*fhir.Type) bool {
	inside := func(of string) bool {
		return slices.ContainsFunc(within[:len(within)-1], func(t *fhir.Type) bool { return t.Name == of })
	}
	switch {
	case typ.Name == "Identifier" && inside("Reference"):
		return name == "system" || name == "value"
	case typ.Name == "Reference" && inside("Identifier"):
		return name == "reference" || name == "display"
	}
	return true
}

// field makes the column of a member, and the columns below it.
func (b *layoutBuilder) field(m fhir.Member, within []*fhir.Type) *Field {
	typ := b.r4.TypeOf(m)
	f := &Field{Name: m.Name, List: m.Element.Array, FHIR: typ.Name}
	switch {
	case typ.Kind == fhir.KindPrimitive:
		f.Type, f.role = primitive(typ)
	case typ.Kind == fhir.KindResource:
		// A Bundle's entry may be of any type, each with its own columns.
		f.Type, f.role = String, roleJSON
	case slices.Contains(within, typ):
		// An element of its own kind: the whole of it, array and all.
		f.Type, f.role, f.List = String, roleJSON, false
	default:
		f.Type, f.role = Struct, roleStruct
		b.structOf(f, typ, within)
	}
	return f
}

// primitive is the column of one of FHIR's primitive types.
func primitive(typ *fhir.Type) (Type, role) {
	switch typ.JSON {
	case fhir.JSONBoolean:
		return Boolean, roleBoolean
	case fhir.JSONNumber:
		if typ.Name == "decimal" {
			return Decimal, roleDecimal
		}
		return Int, roleInt
	}
	switch typ.Name {
	case "date", "dateTime", "instant":
		return String, roleDate
	}
	return String, roleText
}

// open adds a member of an open choice, all of which share one struct.
func (b *layoutBuilder) open(f *Field, m fhir.Member) {
	name := m.Element.Name
	i := slices.IndexFunc(f.Fields, func(f *Field) bool { return f.Name == name })
	if i < 0 {
		i = len(f.Fields)
		f.Fields = append(f.Fields, &Field{Name: name, Type: Struct, role: roleOpen, FHIR: "*", Fields: []*Field{
			{Name: "type", Type: String, role: roleSide}, {Name: "value", Type: String, role: roleSide}, {Name: "json", Type: String, role: roleSide},
		}})
	}
	f.members = append(f.members, member{name: m.Name, to: memberOpen, field: f.Fields[i], typ: m.Type})
	if b.r4.TypeOf(m).Kind == fhir.KindPrimitive {
		f.members = append(f.members, member{name: "_" + m.Name, to: memberSibling})
	}
}

// sideFields are the columns that every layout ends with.
func sideFields() []*Field {
	extension := slices.Concat(
		texts("path"),
		[]*Field{{Name: "modifier", Type: Boolean, role: roleSide}, {Name: "parent", Type: Int, role: roleSide}},
		texts("url"),
		[]*Field{{Name: "urls", Type: String, List: true, role: roleSide}},
		texts("type", "value", "system", "display", "json"))
	return []*Field{
		{Name: "__extension", Type: Struct, List: true, role: roleSide, Fields: extension},
		{Name: "__contained", Type: Struct, List: true, role: roleSide, Fields: texts("resourceType", "id", "json")},
		{Name: "__residual", Type: String, role: roleSide},
		originField(),
	}
}

// originField is the column that tells where a row came from.
func originField() *Field {
	return &Field{Name: "__origin", Type: Struct, role: roleSide, Fields: slices.Concat(
		texts("source", "feed", "run", "file"),
		[]*Field{{Name: "line", Type: Long, role: roleSide}},
		texts("transactionTime"))}
}

// texts are columns of text that the shredder itself writes.
func texts(names ...string) []*Field {
	var fields []*Field
	for _, name := range names {
		fields = append(fields, &Field{Name: name, Type: String, role: roleSide})
	}
	return fields
}

// emptyLevel is the definition level of a list that is there and has no elements. Below it
// the list is absent.
func (f *Field) emptyLevel() uint8 { return f.def - 2 }

// nullElementLevel is the definition level of a list's element that is null.
func (f *Field) nullElementLevel() uint8 { return f.def - 1 }

// number gives a struct's fields their levels, and their places among streams and
// columns.
func (b *layoutBuilder) number(f, parent *Field) {
	f.parent, f.stream, f.column = parent, -1, -1
	if parent != nil {
		f.def, f.rep = parent.def, parent.rep
		switch {
		case f.List:
			f.def, f.rep = f.def+3, f.rep+1 // the list, an element, an element that is not null; see emptyLevel
		case !f.Required:
			f.def++
		}
	}
	if f.List || f.Type == Struct {
		f.stream = b.layout.streams
		b.layout.streams++
	}
	if f.Type != Struct {
		f.column = len(b.layout.columns)
		b.layout.columns = append(b.layout.columns, f)
	}
	f.byName = make(map[string]*member, len(f.members))
	for i := range f.members {
		m := &f.members[i]
		m.index, m.nameBytes, m.key = int32(i), []byte(m.name), newMemberKey(m.name)
		f.byName[m.name] = m
	}
	for _, child := range f.Fields {
		b.number(child, f)
	}
}

// Path is where a column is: the names down to it, with a dot between them.
func (f *Field) Path() string {
	var names []string
	for ; f.parent != nil; f = f.parent {
		names = append(names, f.Name)
	}
	slices.Reverse(names)
	return strings.Join(names, ".")
}
