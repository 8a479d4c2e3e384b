package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// field is what the tags of a struct field say:
//
//	yaml:"key"                      the key in the file; "-" for none
//	jsonschema:"required,default=..." and enum=, pattern=, minimum=, maximum=
//	want:"..."                        what is allowed, in words, for messages
//
// The jsonschema tag serves the generator of config.schema.json as well, so that
// editors and this decoder agree.
type field struct {
	key      string
	index    int
	required bool
	fallback string
	enum     []string
	pattern  *regexp.Regexp
	min, max int
	want     string
}

// fieldsOf reads the tags of a struct type.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		f := field{key: sf.Tag.Get("yaml"), index: i, want: sf.Tag.Get("want")}
		if f.key == "" || f.key == "-" {
			continue
		}
		for _, rule := range strings.Split(sf.Tag.Get("jsonschema"), ",") {
			name, value, _ := strings.Cut(rule, "=")
			switch name {
			case "required":
				f.required = true
			case "default":
				f.fallback = value
			case "enum":
				f.enum = append(f.enum, value)
			case "pattern":
				f.pattern = regexp.MustCompile(value)
			case "minimum":
				f.min, _ = strconv.Atoi(value)
			case "maximum":
				f.max, _ = strconv.Atoi(value)
			}
		}
		if f.want == "" {
			f.want = wanted(sf.Type, f)
		}
		fields = append(fields, f)
	}
	return fields
}

// wanted says in words what a value may be, where no tag does.
func wanted(t reflect.Type, f field) string {
	switch {
	case len(f.enum) > 0:
		return "one of " + strings.Join(f.enum, ", ")
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 90s, 5m, 24h or 30d"
	case t == reflect.TypeFor[time.Time]():
		return "an instant such as 2026-01-31T00:00:00Z, or a date"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return fmt.Sprintf("a whole number from %d to %d", f.min, f.max)
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map || t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "a mapping (key: value)"
	case t.Kind() == reflect.Slice:
		return "texts"
	}
	return "a text"
}
