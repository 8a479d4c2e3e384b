package config

import (
	"os"
	"reflect"
	"regexp"
	"testing"

	"go.yaml.in/yaml/v4"
)

// TestExampleNamesEveryKey keeps config.yaml complete. Once uncommented, it must have every key of
// each struct, or name it in a comment, in a mapping for that struct. Where two places take the
// same struct, as sink.s3 and state.s3 do, either will do.
func TestExampleNamesEveryKey(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(regexp.MustCompile(`(?m)^#(  +\S)`).ReplaceAll(example, []byte("$1")), &doc); err != nil {
		t.Fatal(err)
	}
	shown := shownKeys{}
	shown.mapping(doc.Content[0], "", reflect.TypeFor[Config]())
	for _, structType := range structTypes(reflect.TypeFor[Config]()) {
		for _, key := range keysIn(structType) {
			if !shown[shownKey{structType, key}] {
				t.Errorf("config.yaml does not show %s of %s", key, structType.Name())
			}
		}
	}
}

// shownKeys holds the keys that a document shows.
type shownKeys map[shownKey]bool

type shownKey struct {
	structType reflect.Type
	key        string
}

// mapping adds the keys of a mapping for structType and of those inside it, and those that
// comments name: the comments in the mapping, and above, which are those on the mapping itself.
func (shown shownKeys) mapping(n *yaml.Node, above string, structType reflect.Type) {
	types := map[string]reflect.Type{}
	for _, f := range fieldsOf(structType) {
		types[f.key] = structType.Field(f.index).Type
	}
	comments := above
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		shown[shownKey{structType, key.Value}] = true
		own := key.HeadComment + "\n" + key.LineComment + "\n" + key.FootComment + "\n" + value.LineComment + "\n"
		comments += own
		switch inner := types[key.Value]; {
		case inner == nil || value.Kind == yaml.ScalarNode:
		case isNamed(inner):
			for j := 1; j < len(value.Content); j += 2 {
				shown.mapping(value.Content[j], "", inner.Elem())
			}
		case isList(inner):
			for _, item := range value.Content {
				shown.mapping(item, own, inner.Elem())
			}
		case inner.Kind() == reflect.Struct:
			shown.mapping(value, own, inner)
		}
	}
	for _, key := range keysIn(structType) {
		if regexp.MustCompile(`\b` + key + `:[ ,\n]`).MatchString(comments) {
			shown[shownKey{structType, key}] = true
		}
	}
}

// keysIn lists the keys that a mapping for t can have.
func keysIn(t reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(t) {
		keys = append(keys, f.key)
		if t.Field(f.index).Type == reflect.TypeFor[Secret]() {
			keys = append(keys, f.key+"_file")
		}
	}
	return keys
}
