package columnar

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// fieldIDs is the registry of field ids. It has a section for each resource type, headed by the
// type's name and ended by a blank line, with a line for each field, indented by its depth: the
// field's id, for a list also the id of its elements, and the field's name. Ids are only ever
// added, never changed or reused: readers such as Iceberg know columns by them. To add the ids of
// new fields, run
//
//	go test ./columnar -run TestFieldIDs -update
//
//go:embed fieldids.txt
var fieldIDs string

// fieldID is one line of the registry.
type fieldID struct {
	id, element int
}

// registry is a type's section, by the fields' paths.
type registry map[string]fieldID

// registered returns the section of a type. A type without one, which R4 does not know, has the
// ids of DomainResource.
func registered(resourceType string) registry {
	section, ok := findSection(resourceType)
	if !ok {
		section, _ = findSection("DomainResource")
	}
	return parseSection(section)
}

func findSection(name string) (string, bool) {
	for section := range strings.SplitSeq(fieldIDs, "\n\n") {
		if heading, fields, ok := strings.Cut(section, "\n"); ok && heading == name {
			return fields, true
		}
	}
	return "", false
}

func parseSection(section string) registry {
	ids := registry{}
	var path []string
	for line := range strings.Lines(section) {
		line = strings.TrimSuffix(line, "\n")
		text := strings.TrimLeft(line, "\t")
		depth := len(line) - len(text)
		number, name, _ := strings.Cut(text, " ")
		list, element, isList := strings.Cut(number, "/")
		id := fieldID{id: atoi(list)}
		if isList {
			id.element = atoi(element)
		}
		path = append(path[:min(depth, len(path))], name)
		ids[strings.Join(path, ".")] = id
	}
	return ids
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(fmt.Sprintf("columnar: the registry of field ids has %q where a number belongs", s)) // the registry is embedded, and tested
	}
	return n
}

// apply sets the ids of the layout's fields.
func (r registry) apply(l *Layout) {
	var walk func(fields []*Field)
	walk = func(fields []*Field) {
		for _, f := range fields {
			id := r[f.Path()]
			f.ID, f.ElementID = id.id, id.element
			walk(f.Fields)
		}
	}
	walk(l.root.Fields)
}
