package fhir

import (
	"fmt"
	"slices"
	"strings"
)

// The format of r4.txt: after comments come the lines "fhir VERSION" and "*"
// with the types of an open choice, then one paragraph per type, each preceded
// by an empty line. The first line of a paragraph is
//
//	[abstract ](primitive-type|complex-type|resource) NAME[ : BASE]
//
// Each further line is one element that the base does not have, indented by
// its depth:
//
//	[@]NAME MIN..MAX TYPES
//
// where @ marks an attribute and a NAME ending in [x] a choice. TYPES is one of:
// types separated by "|", with the targets of a reference in parentheses, as in
// Reference(Patient,Group); "*" for an open choice; or "#" and the backbone
// element that the content comes from. A maximum of 0 removes an element of the
// base. The children of a BackboneElement or Element follow it.
//
// The text is part of the program, written and checked by internal/gen, so the
// parser panics on anything that does not follow this format.

// header is the first line of a paragraph.
type header struct {
	name     string
	kind     Kind
	base     string
	abstract bool
}

// newDefinitions finds the types in text without parsing their elements.
func newDefinitions(text string) *Definitions {
	d := &Definitions{entries: make(map[string]*entry, 256)}
	top, rest, _ := strings.Cut(text, "\n\n")
	for line := range strings.Lines(top) {
		switch key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " "); key {
		case "fhir":
			d.version = value
		case "*":
			d.open = strings.Split(value, "|")
		}
	}
	for len(rest) > 0 {
		var paragraph string
		paragraph, rest, _ = strings.Cut(rest, "\n\n")
		first, body, _ := strings.Cut(paragraph, "\n")
		e := &entry{header: parseHeader(first), body: body}
		d.entries[e.name] = e
		d.names = append(d.names, e.name)
	}
	return d
}

func parseHeader(line string) header {
	var h header
	rest, abstract := strings.CutPrefix(line, "abstract ")
	h.abstract = abstract
	kind, rest, _ := strings.Cut(rest, " ")
	switch kind {
	case "primitive-type":
		h.kind = KindPrimitive
	case "complex-type":
		h.kind = KindComplex
	case "resource":
		h.kind = KindResource
	default:
		panic(fmt.Sprintf("fhir: r4.txt: unknown kind in %q", line))
	}
	h.name, h.base, _ = strings.Cut(rest, " : ")
	return h
}

// parse builds the type of an entry, including all its backbone elements.
func (d *Definitions) parse(e *entry) *Type {
	t := &Type{Name: e.name, Kind: e.kind, JSON: jsonOf(e.header), Base: e.base, Abstract: e.abstract}
	d.inherit(t)
	all := []*Type{t}  // t and its backbone elements
	path := []*Type{t} // the types that enclose the next line
	for line := range strings.Lines(e.body) {
		line = strings.TrimSuffix(line, "\n")
		text := strings.TrimLeft(line, " ")
		depth := len(line) - len(text)
		if depth < 1 || depth > len(path) {
			panic(fmt.Sprintf("fhir: r4.txt: %s: bad indentation of %q", e.name, text))
		}
		path = path[:depth]
		parent := path[depth-1]
		el, removed := d.parseElement(text)
		if removed {
			parent.Elements = slices.DeleteFunc(parent.Elements, func(x Element) bool { return x.Name == el.Name })
			continue
		}
		if base := el.Types; len(base) == 1 && (base[0] == "BackboneElement" || base[0] == "Element") {
			el.Backbone = &Type{Name: parent.Name + "." + el.Name, Kind: KindBackbone, JSON: JSONObject, Base: base[0]}
			d.inherit(el.Backbone)
			all = append(all, el.Backbone)
			path = append(path, el.Backbone)
		}
		parent.Elements = append(parent.Elements, el)
	}
	resolve(all)
	return t
}

// inherit copies the elements of t's base into t; the caller appends t's own.
func (d *Definitions) inherit(t *Type) {
	if t.Base == "" {
		return
	}
	base, ok := d.Lookup(t.Base)
	if !ok {
		panic(fmt.Sprintf("fhir: r4.txt: %s: unknown base %s", t.Name, t.Base))
	}
	t.Elements = slices.Clone(base.Elements)
}

// parseElement parses one line without its indentation. removed reports whether
// the line removes an element of the base.
func (d *Definitions) parseElement(line string) (e Element, removed bool) {
	name, rest, _ := strings.Cut(line, " ")
	cardinality, types, ok := strings.Cut(rest, " ")
	if !ok || len(cardinality) != len("0..1") {
		panic(fmt.Sprintf("fhir: r4.txt: bad element %q", line))
	}
	name, e.Attribute = strings.CutPrefix(name, "@")
	e.Name, e.Choice = strings.CutSuffix(name, "[x]")
	e.Min = int(cardinality[0] - '0')
	e.Array = cardinality[3] == '*'
	switch types[0] {
	case '#':
		e.ContentReference = types[1:]
	case '*':
		e.Open, e.Types = true, d.open
	default:
		e.Types, e.Targets = parseTypes(types)
	}
	return e, cardinality[3] == '0'
}

func parseTypes(text string) (types, targets []string) {
	types = make([]string, 0, strings.Count(text, "|")+1)
	for t := range strings.SplitSeq(text, "|") {
		code, list, ok := strings.Cut(t, "(")
		types = append(types, code)
		if ok {
			targets = strings.Split(strings.TrimSuffix(list, ")"), ",")
		}
	}
	return types, targets
}

// resolve sets the types of content references and lists the members. Members
// point into Elements, so these slices must not grow any more.
func resolve(all []*Type) {
	for _, t := range all {
		for i := range t.Elements {
			e := &t.Elements[i]
			if e.ContentReference == "" {
				continue
			}
			target := slices.IndexFunc(all, func(x *Type) bool { return x.Name == e.ContentReference })
			if target < 0 {
				panic(fmt.Sprintf("fhir: r4.txt: %s.%s: nothing is named %s", t.Name, e.Name, e.ContentReference))
			}
			e.Backbone = all[target]
			e.Types = []string{e.Backbone.Base}
			e.Recursive = strings.HasPrefix(t.Name+".", e.ContentReference+".")
		}
		t.members = make([]Member, 0, len(t.Elements))
		for i := range t.Elements {
			e := &t.Elements[i]
			for _, typ := range e.Types {
				t.members = append(t.members, Member{Name: e.JSONName(typ), Type: typ, Element: e})
			}
		}
	}
}

// jsonOf returns how values of a type are written in JSON. It uses a table,
// because R4's StructureDefinitions say that positiveInt and unsignedInt are strings.
func jsonOf(h header) JSON {
	if h.kind != KindPrimitive {
		return JSONObject
	}
	switch h.name {
	case "boolean":
		return JSONBoolean
	case "decimal", "integer", "positiveInt", "unsignedInt":
		return JSONNumber
	}
	return JSONString
}
