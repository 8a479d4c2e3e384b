package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
)

const (
	schemaFile = "../config.schema.json"

	durationPattern = `^([0-9]+d)?([0-9.]+(ms|s|m|h))*$` // its bounds are checked only by the program
)

// TestSchema checks config.schema.json, which editors use, against the structs. To regenerate
// it: go test ./config -run TestSchema -update
func TestSchema(t *testing.T) {
	t.Parallel()
	got := generateSchema(t)
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("config.schema.json is not what the structs say; run with -update (-file +structs):\n%s", diff)
	}
}

var update = flag.Bool("update", false, "write config.schema.json anew")

// TestEnums checks the values that a file may have against the lists that other code and tests use.
func TestEnums(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(fieldOf[Auth]("type").enum, texts(AuthTypes())); diff != "" {
		t.Errorf("AuthTypes are not the enum of Auth.Type (-enum +list):\n%s", diff)
	}
	if diff := cmp.Diff(fieldOf[Parquet]("compression").enum, texts(Compressions())); diff != "" {
		t.Errorf("Compressions are not the enum of Parquet.Compression (-enum +list):\n%s", diff)
	}
}

func texts[T ~string](list []T) []string {
	var all []string
	for _, v := range list {
		all = append(all, string(v))
	}
	return all
}

// generateSchema reflects the structs by the same tags that the decoder reads, and adds what
// tags cannot express.
func generateSchema(t *testing.T) []byte {
	t.Helper()
	r := &jsonschema.Reflector{
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		ExpandedStruct:             true,
		Anonymous:                  true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[time.Duration]():
				return &jsonschema.Schema{Type: "string", Pattern: durationPattern}
			case reflect.TypeFor[time.Time]():
				return &jsonschema.Schema{Type: "string", Pattern: `^[0-9]{4}-[0-9]{2}-[0-9]{2}(T.+)?$`}
			}
			return nil
		},
	}
	if err := r.AddGoComments("fhirkiln/config", "./"); err != nil {
		t.Fatal(err)
	}
	root := r.Reflect(&Config{})
	root.Title = "fhirkiln's config.yaml"
	root.PatternProperties = map[string]*jsonschema.Schema{"^x-": {Description: "Ignored: a place for anchors."}}
	definitions := root.Definitions
	for _, structType := range structTypes(reflect.TypeFor[Config]()) {
		s := definitions[structType.Name()]
		if structType == reflect.TypeFor[Config]() {
			s = root
		}
		complete(s, structType)
	}
	for _, name := range []string{"sources", "feeds"} {
		p := root.Properties.Value(name)
		item := p.AdditionalProperties // of the map
		if p.Items != nil {
			item = p.Items // of the slice, which the file writes as a mapping
		}
		one := uint64(1)
		p.Type, p.Items, p.MinItems, p.AdditionalProperties, p.MinProperties = "object", nil, nil, jsonschema.FalseSchema, &one
		p.PatternProperties = map[string]*jsonschema.Schema{"^[a-z][a-z0-9-]{0,99}$": item}
	}
	definitions["Auth"].AllOf = authRules()
	definitions["Parquet"].AllOf = levelRules()
	definitions["Feed"].AllOf = errorRules()
	definitions["variable"] = &jsonschema.Schema{Type: "string", Pattern: `\$\{`, Description: "A value with ${VAR} or ${VAR:-default}."}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// complete adds the _file twins of secrets, allows variables in place of values that are not
// free text, and allows numbers in place of text.
func complete(s *jsonschema.Schema, structType reflect.Type) {
	properties := jsonschema.NewProperties()
	for _, f := range fieldsOf(structType) {
		p := s.Properties.Value(f.key)
		p.Description = strings.Join(strings.Fields(p.Description), " ")
		switch p.Type {
		case "array":
			one := uint64(1)
			p.MinItems = &one
			if p.Items.Ref == "" {
				p.UniqueItems, p.Items = true, loosen(p.Items)
			}
		case "string", "integer", "boolean":
			p = loosen(p)
		}
		properties.Set(f.key, p)
		if structType.Field(f.index).Type == reflect.TypeFor[Secret]() {
			properties.Set(f.key+"_file", &jsonschema.Schema{
				Type:        "string",
				Description: "File that holds " + f.key + ", instead of " + f.key + " itself. A relative path starts at the folder of the config file.",
			})
		}
	}
	s.Properties = properties
}

// loosen returns a schema that also allows a variable. Texts that look like numbers or booleans
// need no quotes.
func loosen(s *jsonschema.Schema) *jsonschema.Schema {
	strict := s.Type != "string" || s.Pattern != "" || len(s.Enum) > 0
	if !strict {
		s.Type = ""
		s.Extras = map[string]any{"type": []string{"string", "number", "boolean"}}
		return s
	}
	outer := &jsonschema.Schema{Description: s.Description, Default: s.Default}
	s.Description, s.Default = "", nil
	outer.AnyOf = []*jsonschema.Schema{s, {Ref: "#/$defs/variable"}}
	switch s.Type { // allow the same in quotes
	case "integer":
		outer.AnyOf = append(outer.AnyOf, &jsonschema.Schema{Type: "string", Pattern: "^[0-9]+$"})
	case "boolean":
		outer.AnyOf = append(outer.AnyOf, &jsonschema.Schema{Enum: []any{"true", "false"}})
	}
	if s.Pattern == durationPattern && outer.Default == "0s" { // the only duration without a unit
		outer.AnyOf = append(outer.AnyOf, &jsonschema.Schema{Const: 0})
	}
	if s.Pattern != "" && regexp.MustCompile(s.Pattern).MatchString("1234") {
		outer.AnyOf = append(outer.AnyOf, &jsonschema.Schema{Type: "number"})
	}
	return outer
}

// authRules says which keys each type of authentication needs.
func authRules() []*jsonschema.Schema {
	var rules []*jsonschema.Schema
	secret := func(key string) bool {
		return slices.ContainsFunc((&Auth{}).values(), func(v authValue) bool { return v.name == key && v.secret })
	}
	for _, t := range AuthTypes() {
		then := &jsonschema.Schema{}
		needs, _, oneOf := keysOf(t)
		if len(needs)+len(oneOf) == 0 {
			continue
		}
		for _, key := range needs {
			switch {
			case secret(key):
				then.OneOf = []*jsonschema.Schema{{Required: []string{key}}, {Required: []string{key + "_file"}}}
			case key == "token_url":
				then.AnyOf = []*jsonschema.Schema{{Required: []string{key}}, {Required: []string{"discover"}}}
			default:
				then.Required = append(then.Required, key)
			}
		}
		for _, key := range oneOf {
			then.AnyOf = append(then.AnyOf, &jsonschema.Schema{Required: []string{key}})
			if secret(key) {
				then.AnyOf = append(then.AnyOf, &jsonschema.Schema{Required: []string{key + "_file"}})
			}
		}
		is := jsonschema.NewProperties()
		is.Set("type", &jsonschema.Schema{Const: string(t)})
		rules = append(rules, &jsonschema.Schema{If: &jsonschema.Schema{Properties: is, Required: []string{"type"}}, Then: then})
	}
	return rules
}

// errorRules says that max_errors and the budget belong together.
func errorRules() []*jsonschema.Schema {
	budget, strict, none := jsonschema.NewProperties(), jsonschema.NewProperties(), jsonschema.NewProperties()
	budget.Set("errors", &jsonschema.Schema{Const: string(ErrorsBudget)})
	strict.Set("errors", &jsonschema.Schema{Const: string(ErrorsStrict)}) // or left out
	none.Set("max_errors", jsonschema.FalseSchema)
	return []*jsonschema.Schema{
		{If: &jsonschema.Schema{Properties: budget, Required: []string{"errors"}}, Then: &jsonschema.Schema{Required: []string{"max_errors"}}},
		{If: &jsonschema.Schema{Properties: strict}, Then: &jsonschema.Schema{Properties: none}},
	}
}

// levelRules bounds the levels of the compressions that have fewer than compression_level allows.
func levelRules() []*jsonschema.Schema {
	var rules []*jsonschema.Schema
	for _, c := range Compressions() {
		if c.levels() == fieldOf[Parquet]("compression_level").max {
			continue
		}
		is, level := jsonschema.NewProperties(), jsonschema.NewProperties()
		is.Set("compression", &jsonschema.Schema{Const: string(c)})
		if c.levels() == 0 {
			level.Set("compression_level", jsonschema.FalseSchema)
		} else {
			level.Set("compression_level", &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
				{Type: "integer", Maximum: json.Number(strconv.Itoa(c.levels()))}, {Ref: "#/$defs/variable"}}})
		}
		rules = append(rules, &jsonschema.Schema{If: &jsonschema.Schema{Properties: is, Required: []string{"compression"}}, Then: &jsonschema.Schema{Properties: level}})
	}
	return rules
}

// structTypes lists t and the structs inside it.
func structTypes(t reflect.Type) []reflect.Type {
	types := []reflect.Type{t}
	for _, f := range fieldsOf(t) {
		ft := t.Field(f.index).Type
		if ft.Kind() == reflect.Map || ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct && ft != reflect.TypeFor[time.Time]() {
			types = append(types, structTypes(ft)...)
		}
	}
	return types
}
