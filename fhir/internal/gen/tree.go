package main

import "strings"

// tree is the content of r4.txt.
type tree struct {
	defs map[string]*definition
	open string // the types that "*" stands for
}

// definition is one type of the tree.
type definition struct {
	name     string
	kind     string // HL7's: primitive-type, complex-type, resource
	abstract bool
	base     string
	root     *node
}

// node is one element with its children.
type node struct {
	path      string
	name      string
	min, max  string
	types     []typeRef
	ref       string // contentReference without the "#"
	attribute bool
	children  []*node
}

// typeRef is a type code and, for a Reference, its possible targets.
type typeRef struct {
	code    string
	targets []string // none means any
}

func (t typeRef) String() string {
	if len(t.targets) == 0 {
		return t.code
	}
	return t.code + "(" + strings.Join(t.targets, ",") + ")"
}

// line returns the node's line in r4.txt, without indentation and without the
// mark of an attribute, which HL7 does not repeat where the element is inherited.
func (n *node) line() string {
	return n.name + " " + n.min + ".." + n.max + " " + n.content()
}

func (n *node) content() string {
	if n.ref != "" {
		return "#" + n.ref
	}
	codes := make([]string, len(n.types))
	for i, t := range n.types {
		codes[i] = t.String()
	}
	return strings.Join(codes, "|")
}

// inline reports whether the node's children are defined in place.
func (n *node) inline() bool {
	return len(n.types) == 1 && (n.types[0].code == "BackboneElement" || n.types[0].code == "Element")
}

func (n *node) walk(f func(*node)) {
	f(n)
	for _, c := range n.children {
		c.walk(f)
	}
}
