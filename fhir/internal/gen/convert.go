package main

import (
	"errors"
	"fmt"
	"strings"
)

const (
	version     = "4.0.1"
	profileBase = "http://hl7.org/fhir/StructureDefinition/"
	systemBase  = "http://hl7.org/fhirpath/System."
	fhirTypeURL = profileBase + "structuredefinition-fhir-type"
)

// convert builds the tree of all types. It refuses any input that r4.txt cannot
// express, so that nothing is silently dropped.
func convert(in []structureDefinition) (*tree, error) {
	defs := make(map[string]*definition)
	for _, sd := range in {
		// Profiles (SimpleQuantity, MoneyQuantity) say nothing about JSON names;
		// logical models (MetadataResource) are not types.
		if sd.Derivation.Value == "constraint" || sd.Kind.Value == "logical" {
			continue
		}
		d, err := newDefinition(sd)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sd.Name.Value, err)
		}
		if defs[d.name] != nil {
			return nil, fmt.Errorf("%s: defined twice", d.name)
		}
		defs[d.name] = d
	}
	for _, d := range defs {
		if err := d.check(defs); err != nil {
			return nil, err
		}
	}
	// inherit compares whole elements, so it must see all definitions before
	// inherited children are removed from any.
	kept := make(map[*node][]*node)
	for _, d := range defs {
		if err := d.inherit(d.root, d.base, defs, kept); err != nil {
			return nil, err
		}
	}
	open := abbreviateOpen(defs)
	if open == "" {
		return nil, fmt.Errorf("%s is not defined", openTypeFrom)
	}
	for n, children := range kept {
		n.children = children
	}
	return &tree{defs: defs, open: open}, nil
}

func newDefinition(sd structureDefinition) (*definition, error) {
	if sd.FHIRVersion.Value != version {
		return nil, fmt.Errorf("is for FHIR %q, not %s", sd.FHIRVersion.Value, version)
	}
	d := &definition{
		name:     sd.Name.Value,
		kind:     sd.Kind.Value,
		abstract: sd.Abstract.Value == "true",
		base:     strings.TrimPrefix(sd.Base.Value, profileBase),
	}
	if rank(d.kind) < 0 {
		return nil, fmt.Errorf("has the unknown kind %q", d.kind)
	}
	nodes := make(map[string]*node)
	for _, e := range sd.Elements {
		n, err := newNode(e, d.kind)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Path.Value, err)
		}
		if nodes[n.path] != nil {
			return nil, fmt.Errorf("%s: defined twice", n.path)
		}
		nodes[n.path] = n
		dot := strings.LastIndexByte(n.path, '.')
		if dot < 0 {
			d.root = n
			continue
		}
		// A primitive's "value" is the JSON value itself and has no name in JSON.
		if d.kind == "primitive-type" && n.name == "value" {
			continue
		}
		parent := nodes[n.path[:dot]]
		if parent == nil {
			return nil, fmt.Errorf("%s: comes before its parent", n.path)
		}
		parent.children = append(parent.children, n)
	}
	if d.root == nil || d.root.name != d.name {
		return nil, errors.New("has no snapshot")
	}
	return d, nil
}

func newNode(e elementDef, kind string) (*node, error) {
	p := e.Path.Value
	n := &node{
		path:      p,
		name:      p[strings.LastIndexByte(p, '.')+1:],
		min:       e.Min.Value,
		max:       e.Max.Value,
		ref:       strings.TrimPrefix(e.ContentReference.Value, "#"),
		attribute: e.Representation.Value == "xmlAttr",
	}
	for _, t := range e.Types {
		ref := typeRef{code: typeCode(p, t, kind)}
		for _, target := range t.TargetProfiles {
			name, ok := strings.CutPrefix(target.Value, profileBase)
			if !ok {
				return nil, fmt.Errorf("target %s is not in this specification", target.Value)
			}
			// Leave out the targets of a canonical, which holds a URL rather than a
			// resource type and id. The target Resource means any type.
			if ref.code == "Reference" && name != "Resource" {
				ref.targets = append(ref.targets, name)
			}
		}
		n.types = append(n.types, ref)
	}
	return n, nil
}

// typeCode maps the FHIRPath types, which HL7 uses for XML attributes, to
// FHIR types.
func typeCode(p string, t typeDef, kind string) string {
	system, ok := strings.CutPrefix(t.Code.Value, systemBase)
	if !ok {
		return t.Code.Value
	}
	// The StructureDefinitions of 4.0.1 say string here; the specification's
	// text, its XML schema and its JSON schema say id.
	if kind == "resource" && strings.HasSuffix(p, ".id") && strings.Count(p, ".") == 1 {
		return "id"
	}
	for _, e := range t.Extensions {
		if e.URL == fhirTypeURL {
			return e.ValueURL.Value
		}
	}
	return strings.ToLower(system)
}
