package columnar

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/parquet-go/parquet-go"
)

// assembler rebuilds a resource from a row: first from the columns, then with what __residual,
// __contained and __extension add.
type assembler struct {
	*rowCursor
	scanner scanner
	out     []byte
}

// node is a JSON value under construction: an object, an array, or finished text.
type node struct {
	kind  byte // '{', '[', or 0 for text
	text  []byte
	names []string // of an object's members, parallel to nodes
	nodes []*node
}

// resource returns the cursor's row as JSON, valid until the next call.
func (a *assembler) resource() ([]byte, error) {
	if a.layout.ResourceType == Deleted {
		return a.tombstone()
	}
	root := &node{kind: '{'}
	var sides sideValues
	for _, f := range a.layout.root.Fields {
		switch f.Name {
		case "resourceType":
			root.set("resourceType", quote(a.layout.ResourceType))
			a.skip(f)
		case "__extension":
			sides.extensions = a.structs(f)
		case "__contained":
			sides.contained = a.structs(f)
		case "__residual":
			sides.residual = a.leaf(f)
		default:
			if err := a.field(f, root); err != nil {
				return nil, err
			}
		}
	}
	whole, err := a.restore(root, &sides)
	if err != nil {
		return nil, err
	}
	if whole != nil {
		return whole, nil
	}
	a.out = root.append(a.out[:0])
	return a.out, nil
}

// leaf reads a leaf that is not a list. It returns the leaf's text, or nil if it is null.
func (a *assembler) leaf(f *Field) []byte {
	v := a.entry(f)
	a.skip(f)
	if v.IsNull() {
		return nil
	}
	return v.ByteArray()
}

// field reads a field's slot and sets the value in the enclosing object, unless it is null.
// A lexeme is read with its decimal; other side columns are skipped.
func (a *assembler) field(f *Field, around *node) error {
	switch {
	case f.role == roleSide:
		if f.lexemeOf() == nil {
			a.skipAll(f)
		}
		return nil
	case f.role == roleOpen:
		return a.open(f, around)
	case !f.List:
		n, err := a.value(f)
		if err != nil || n == nil {
			return err
		}
		around.setNode(f.Name, n)
		return nil
	}
	level := a.level(f)
	if level < int(f.emptyLevel()) {
		a.skipBoth(f)
		return nil
	}
	list := &node{kind: '['}
	around.setNode(f.Name, list)
	if level == int(f.emptyLevel()) {
		a.skipBoth(f)
		return nil
	}
	for {
		n, err := a.value(f)
		if err != nil {
			return err
		}
		if n == nil {
			n = text("null")
		}
		list.nodes = append(list.nodes, n)
		if !a.another(f) {
			return nil
		}
	}
}

// lexemeOf returns the decimal whose lexeme f is, or nil.
func (f *Field) lexemeOf() *Field {
	for _, sibling := range f.parent.Fields {
		if sibling.lexeme == f {
			return sibling
		}
	}
	return nil
}

// skipAll passes over a slot of a field with all its elements.
func (a *assembler) skipAll(f *Field) {
	a.skip(f)
	for f.List {
		if a.repLevel(f) < int(f.rep) {
			return
		}
		a.skip(f)
	}
}

// skipBoth passes over a slot of a list that has no elements, and the slot of its lexemes.
func (a *assembler) skipBoth(f *Field) {
	a.skip(f)
	if f.lexeme != nil {
		a.skip(f.lexeme)
	}
}

// value reads one value of a field, or one element of a list. It returns nil for null.
func (a *assembler) value(f *Field) (*node, error) {
	if f.Type == Struct {
		if a.level(f) < int(f.def) {
			a.skip(f)
			return nil, nil
		}
		n := &node{kind: '{'}
		for _, child := range f.Fields {
			if err := a.field(child, n); err != nil {
				return nil, err
			}
		}
		return n, nil
	}
	v := a.entry(f)
	a.skip(f)
	if f.lexeme != nil {
		lexeme := a.entry(f.lexeme)
		a.skip(f.lexeme)
		if !lexeme.IsNull() {
			return &node{text: lexeme.ByteArray()}, nil
		}
	}
	if v.IsNull() {
		return nil, nil
	}
	switch f.role {
	case roleText, roleDate:
		return &node{text: quote(string(v.ByteArray()))}, nil
	case roleBoolean:
		return text(strconv.FormatBool(v.Boolean())), nil
	case roleInt:
		return text(strconv.Itoa(int(v.Int32()))), nil
	case roleDecimal:
		return &node{text: appendDecimal(nil, v.ByteArray())}, nil
	case roleJSON:
		return &node{text: v.ByteArray()}, nil
	}
	return nil, fmt.Errorf("the column %s has no place in JSON", f.Path())
}

// open reads an open choice. Its column type gives the suffix of the member's name.
func (a *assembler) open(f *Field, around *node) error {
	typ, _, json := a.leaf(f.Fields[0]), a.leaf(f.Fields[1]), a.leaf(f.Fields[2])
	if json == nil {
		return nil
	}
	if len(typ) == 0 {
		return fmt.Errorf("the column %s.type is null although there is a value", f.Path())
	}
	name := f.Name + strings.ToUpper(string(typ[:1])) + string(typ[1:])
	around.setNode(name, &node{text: json})
	return nil
}

// structs reads a list of structs of the shredder's own: __extension or __contained.
func (a *assembler) structs(f *Field) []map[string]parquet.Value {
	var all []map[string]parquet.Value
	for {
		one := map[string]parquet.Value{}
		if a.level(f) >= int(f.def) {
			for _, child := range f.Fields {
				one[child.Name] = a.entry(child)
				a.skipAll(child)
			}
			all = append(all, one)
		} else {
			a.skip(f)
		}
		if !a.another(f) {
			return all
		}
	}
}

var errSides = errors.New("the row's side columns contradict each other")

func text(s string) *node { return &node{text: []byte(s)} }

func quote(s string) []byte {
	b, _ := jsontext.AppendQuote(nil, s) // columns are valid UTF-8
	return b
}

// get returns the value of an object's member, or nil.
func (n *node) get(name string) *node {
	for i, have := range n.names {
		if have == name {
			return n.nodes[i]
		}
	}
	return nil
}

func (n *node) setNode(name string, v *node) {
	for i, have := range n.names {
		if have == name {
			n.nodes[i] = v
			return
		}
	}
	n.names, n.nodes = append(n.names, name), append(n.nodes, v)
}

func (n *node) set(name string, text []byte) { n.setNode(name, &node{text: text}) }

// append appends the value as JSON.
func (n *node) append(to []byte) []byte {
	if n.kind == 0 {
		return append(to, n.text...)
	}
	to = append(to, n.kind)
	for i, v := range n.nodes {
		if i > 0 {
			to = append(to, ',')
		}
		if n.kind == '{' {
			to, _ = jsontext.AppendQuote(to, n.names[i]) // names come from valid UTF-8
			to = append(to, ':')
		}
		to = v.append(to)
	}
	return append(to, n.kind+2) // in ASCII the closing bracket is two further
}
