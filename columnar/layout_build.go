package columnar

import (
	"slices"

	"fhirkiln/fhir"
)

// layoutBuilder builds one layout.
type layoutBuilder struct {
	layout *Layout
	r4     *fhir.Definitions
}

// resource adds the columns of the root's resource type.
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

// structOf gives f the columns of a type. within has the types on the path down to f. No type
// occurs twice on a path, which is what ends the tree.
func (b *layoutBuilder) structOf(f *Field, typ *fhir.Type, within []*fhir.Type) {
	within = append(slices.Clip(within), typ)
	resource := len(within) == 1
	extensions := func() { // in R4's order, and for every struct
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
			continue // too rare for a column: goes to __residual
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

// kept reports whether a member of a datatype has a column where the datatype is within another
// that may contain it again: of a Reference's identifier and of an Identifier's assigner, only
// what people join on is kept.
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
		// A Bundle's entry may have any type, each with its own columns.
		f.Type, f.role = String, roleJSON
	case slices.Contains(within, typ):
		// An element within one of its own type: all of it as JSON, array included.
		f.Type, f.role, f.List = String, roleJSON, false
	default:
		f.Type, f.role = Struct, roleStruct
		b.structOf(f, typ, within)
	}
	return f
}

// primitive returns the type and role of a column for one of FHIR's primitive types.
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

// open adds a member of an open choice. All members of a choice share one struct.
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

// sideFields returns the columns that the layout of every resource type ends with.
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

// originField returns the column that tells where a row came from.
func originField() *Field {
	return &Field{Name: "__origin", Type: Struct, role: roleSide, Fields: slices.Concat(
		texts("source", "feed", "run", "file"),
		[]*Field{{Name: "line", Type: Long, role: roleSide}},
		texts("transactionTime"))}
}

// texts returns text columns that the shredder itself writes.
func texts(names ...string) []*Field {
	var fields []*Field
	for _, name := range names {
		fields = append(fields, &Field{Name: name, Type: String, role: roleSide})
	}
	return fields
}

// number gives f, and the fields below it, their levels and their indices among streams and
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
