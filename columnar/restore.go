package columnar

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// sideValues are the values of a row's side columns.
type sideValues struct {
	extensions, contained []map[string]parquet.Value
	residual              []byte
}

// restore adds the side columns' values to a resource. If the row kept its whole line, restore
// returns that line instead.
func (a *assembler) restore(root *node, s *sideValues) (whole []byte, err error) {
	if s.residual != nil {
		if whole, err := a.restoreResidual(root, s.residual); err != nil || whole != nil {
			return whole, err
		}
	}
	if len(s.contained) > 0 {
		list := &node{kind: '['}
		for _, c := range s.contained {
			list.nodes = append(list.nodes, &node{text: c["json"].ByteArray()})
		}
		root.setNode("contained", list)
	}
	for _, e := range s.extensions {
		if !e["parent"].IsNull() {
			continue // it is in the JSON of the extension around it
		}
		element, err := a.descend(root, extensionSteps(string(e["path"].ByteArray())))
		if err != nil {
			return nil, err
		}
		name := "extension"
		if e["modifier"].Boolean() {
			name = "modifierExtension"
		}
		list := element.get(name)
		if list == nil {
			list = &node{kind: '['}
			element.setNode(name, list)
		}
		list.nodes = append(list.nodes, &node{text: e["json"].ByteArray()})
	}
	return nil, nil
}

// restoreResidual sets the values of __residual at their pointers. The empty pointer stands for
// the whole line, which it returns.
func (a *assembler) restoreResidual(root *node, residual []byte) (whole []byte, err error) {
	if line, ok := bytes.CutPrefix(residual, []byte(`{"":`)); ok {
		return bytes.TrimSuffix(line, []byte("}")), nil // all other pointers begin with a slash
	}
	if err := a.scanner.scan(residual); err != nil {
		return nil, fmt.Errorf("reading __residual: %w", err)
	}
	tape := a.scanner.tape
	for i := uint32(1); i < tape[0].next; i = tape[i+1].next {
		pointer := string(tape[i].text(residual))
		value := valueOf(residual, &tape[i+1])
		steps := strings.Split(pointer, "/")[1:]
		if len(steps) == 0 {
			return nil, errSides
		}
		for i, s := range steps {
			steps[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
		}
		last := steps[len(steps)-1]
		around, err := a.descend(root, steps[:len(steps)-1])
		if err != nil {
			return nil, err
		}
		switch around.kind {
		case '{':
			around.set(last, value)
		case '[':
			n, err := strconv.ParseUint(last, 10, indexBits)
			if err != nil {
				return nil, errSides
			}
			*around.at(int(n)) = node{text: value}
		default:
			return nil, errSides
		}
	}
	return nil, nil
}

// indexBits is the size of an array index: no line has room for more elements.
const indexBits = 31

// extensionSteps splits a path of __extension, such as name[0]._given[1], into steps.
func extensionSteps(path string) []string {
	if path == "" {
		return nil
	}
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// descend goes down to an object or array, and makes what is missing: the siblings of primitives,
// which have no columns.
func (a *assembler) descend(n *node, steps []string) (*node, error) {
	f := a.layout.root
	for _, step := range steps {
		switch n.kind {
		case '[':
			i, err := strconv.ParseUint(step, 10, indexBits)
			if err != nil {
				return nil, errSides
			}
			n = n.at(int(i))
			if n.kind == 0 { // a null that only held the place
				*n = node{kind: '{'}
			}
		case '{':
			child := n.get(step)
			var m *member
			if f != nil {
				m = f.byName[step]
			}
			if child == nil {
				child = &node{kind: '{'}
				if m != nil && (m.list || m.hasColumn() && m.field.List) {
					child.kind = '['
				}
				n.setNode(step, child)
			}
			n, f = child, nil
			if m != nil {
				f = m.field
			}
		default:
			return nil, errSides
		}
	}
	return n, nil
}

// at returns element i of an array. It appends nulls if there are fewer.
func (n *node) at(i int) *node {
	for len(n.nodes) <= i {
		n.nodes = append(n.nodes, text("null"))
	}
	return n.nodes[i]
}
