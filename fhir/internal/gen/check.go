package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	openTypeFrom = "Extension.value[x]" // the element that defines HL7's open type "*"
	openType     = "*"
)

// check returns an error if the definition has anything that r4.txt cannot express.
func (d *definition) check(defs map[string]*definition) error {
	paths := make(map[string]*node)
	d.root.walk(func(n *node) { paths[n.path] = n })
	for _, n := range paths {
		if n == d.root {
			continue
		}
		if err := n.check(paths, defs); err != nil {
			return fmt.Errorf("%s: %w", n.path, err)
		}
	}
	return nil
}

func (n *node) check(paths map[string]*node, defs map[string]*definition) error {
	if (n.min != "0" && n.min != "1") || (n.max != "0" && n.max != "1" && n.max != "*") {
		return fmt.Errorf("unknown cardinality %s..%s", n.min, n.max)
	}
	switch target := paths[n.ref]; {
	case n.ref != "" && (len(n.types) > 0 || len(n.children) > 0):
		return errors.New("has a content reference and content of its own")
	case n.ref != "" && (target == nil || !target.inline()):
		return fmt.Errorf("content reference to %s, which has no elements defined in place", n.ref)
	case n.ref == "" && len(n.types) == 0:
		return errors.New("has no type")
	case len(n.types) > 1 && !strings.HasSuffix(n.name, "[x]"):
		return errors.New("has several types but is not a choice")
	case n.inline() != (len(n.children) > 0):
		return fmt.Errorf("has children that do not fit the type %s", n.content())
	}
	seen := make(map[string]bool)
	for _, t := range n.types {
		if defs[t.code] == nil {
			return fmt.Errorf("type %s is not defined", t.code)
		}
		if seen[t.code] {
			return fmt.Errorf("type %s is listed twice", t.code)
		}
		seen[t.code] = true
		for _, target := range t.targets {
			if defs[target] == nil || defs[target].kind != "resource" {
				return fmt.Errorf("target %s is not a resource type", target)
			}
		}
	}
	return nil
}

// inherit records in kept, for n and every inline element below it, the
// children that base does not have.
func (d *definition) inherit(n *node, base string, defs map[string]*definition, kept map[*node][]*node) error {
	own := n.children
	if base != "" {
		b := defs[base]
		if b == nil {
			return fmt.Errorf("%s: its base %s is not defined", n.path, base)
		}
		if len(own) < len(b.root.children) {
			return fmt.Errorf("%s: lacks elements of its base %s", n.path, base)
		}
		var changed []*node
		for i, inherited := range b.root.children {
			switch {
			case own[i].line() == inherited.line():
			case own[i].name == inherited.name && own[i].max == "0":
				changed = append(changed, own[i])
			default:
				return fmt.Errorf("%s: differs from %s of its base", own[i].path, inherited.path)
			}
		}
		own = slices.Concat(changed, own[len(b.root.children):])
	}
	kept[n] = own
	for _, c := range own {
		if !c.inline() {
			continue
		}
		if err := d.inherit(c, c.types[0].code, defs, kept); err != nil {
			return err
		}
	}
	return nil
}

// abbreviateOpen replaces the open type's 50 types by "*", as HL7 does in its
// own sources, and returns the list.
func abbreviateOpen(defs map[string]*definition) string {
	var open string
	for _, d := range defs {
		d.root.walk(func(n *node) {
			if n.path == openTypeFrom {
				open = n.content()
			}
		})
	}
	for _, d := range defs {
		d.root.walk(func(n *node) {
			if n.content() == open {
				n.types = []typeRef{{code: openType}}
			}
		})
	}
	return open
}
