package config

import (
	"fmt"
	"iter"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// named fills a map or a slice of structs that have a Name from a mapping by name. A slice
// keeps the order of the file.
func (d *decoder) named(n *yaml.Node, path string, v reflect.Value) {
	entries, ok := d.mapping(n, path)
	if ok && len(entries) == 0 {
		d.problemAt(path, "is empty; expected at least one name with its settings")
	}
	if v.Kind() == reflect.Map {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, e := range entries {
		child := join(path, e.key)
		d.at[child] = e.at
		if !isName(e.key) {
			d.problem(e.at, child, "not a valid name; expected lowercase letters, digits and -, starting with a letter, %d characters at most", maxName)
			d.failed[child] = false // still check the settings under it
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		elem.FieldByName("Name").SetString(e.key)
		d.object(e.value, child, elem)
		if v.Kind() == reflect.Map {
			v.SetMapIndex(reflect.ValueOf(e.key), elem)
		} else {
			v.Set(reflect.Append(v, elem))
		}
	}
}

// items yields the values of a list with their paths. The list must not be empty: leaving the
// key out says the same more clearly.
func (d *decoder) items(n *yaml.Node, path string, f field) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		if n.Kind != yaml.SequenceNode {
			d.problem(posOf(n), path, "found %s; expected a list, [a, b], of %s", found(n), f.want)
			return
		}
		if len(n.Content) == 0 {
			d.problem(posOf(n), path, "is empty; add an entry, or remove the key")
		}
		for i, item := range n.Content {
			if !d.step(item) {
				return
			}
			item = resolve(item)
			child := fmt.Sprintf("%s[%d]", path, i)
			d.at[child] = posOf(item)
			if !yield(child, item) {
				return
			}
		}
	}
}

// mappings fills a list of mappings.
func (d *decoder) mappings(n *yaml.Node, path string, f field, v reflect.Value) {
	for child, item := range d.items(n, path, f) {
		elem := reflect.New(v.Type().Elem()).Elem()
		if d.object(item, child, elem); d.failed[child] {
			d.failed[path] = true
		}
		v.Set(reflect.Append(v, elem))
	}
}

// list fills a list of texts, which must all be different.
func (d *decoder) list(n *yaml.Node, path string, f field, v reflect.Value) {
	seen := map[string]string{} // text to path
	for child, item := range d.items(n, path, f) {
		text, ok := d.text(item, child, f)
		if !ok {
			d.failed[path] = true
			continue
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		first, twice := seen[text]
		switch err := set(elem, text, f); {
		case text == "":
			d.valueProblem(posOf(item), child, "is empty; expected %s", f.want)
		case err != nil:
			d.valueProblem(posOf(item), child, "%s %v%s; expected %s", f.quote(item.Value), err, f.near(item.Value), f.want)
		case twice:
			d.problem(posOf(item), child, "is a duplicate of %s", strings.TrimPrefix(first, path))
		}
		seen[text] = child
		v.Set(reflect.Append(v, elem))
	}
}
