package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"fhirkiln/spelling"
)

// field holds what the tags of a struct field say:
//
//	yaml:"key"                      the key in the file; "-" for none
//	jsonschema:"required,default=..." and enum=, pattern=, minimum=, maximum=
//	min:"1s" max:"1h"                 bounds of a duration; default: more than 0, at most a year
//	want:"..."                        what is allowed, in words, for messages
//	private:"true"                    messages do not quote the value, which reveals something about a patient
//
// The generator of config.schema.json reads the jsonschema tag too, so editors and this decoder
// agree.
type field struct {
	key      string
	index    int
	required bool
	fallback string
	enum     []string
	pattern  *regexp.Regexp
	min, max int
	shortest time.Duration
	longest  time.Duration
	want     string
	private  bool
}

// quote returns a value as messages may quote it.
func (f field) quote(text string) string {
	if f.private {
		return "it"
	}
	return clip(text)
}

// near suggests the word of the enum that the text most likely means, if there is one.
func (f field) near(text string) string {
	if best := spelling.Nearest(text, f.enum); best != "" && best != text {
		return ", did you mean " + best + "?"
	}
	return ""
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
		for rule := range strings.SplitSeq(sf.Tag.Get("jsonschema"), ",") {
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
		f.private = sf.Tag.Get("private") == "true"
		f.shortest, f.longest = bound(sf.Tag.Get("min"), 1), bound(sf.Tag.Get("max"), longestDuration)
		if f.want == "" {
			f.want = wanted(sf.Type, f)
			if low, bounded := sf.Tag.Lookup("min"); bounded {
				f.want += ", from " + low + " to " + sf.Tag.Get("max")
			}
		}
		fields = append(fields, f)
	}
	return fields
}

// fieldOf reads the tags of one field.
func fieldOf[T any](key string) field {
	for _, f := range fieldsOf(reflect.TypeFor[T]()) {
		if f.key == key {
			return f
		}
	}
	panic("config: no field has the key " + key) // a bug in this package, which every test finds
}

// bound parses a bound of a duration, or returns otherwise if there is no tag.
func bound(tag string, otherwise time.Duration) time.Duration {
	if tag == "" {
		return otherwise
	}
	d, err := ParseDuration(tag)
	if err != nil {
		panic("config: a bound " + tag + " " + err.Error()) // a wrong tag, which every test finds
	}
	return d
}

// wanted says in words what a value may be, for fields whose tags do not.
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
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map || isNamed(t):
		return "a mapping (key: value)"
	case t.Kind() == reflect.Slice:
		return "strings"
	}
	return "a string"
}

// isNamed reports whether a field of type t is written as a mapping of names to settings. A
// slice of structs without such a Name is written as a list of mappings.
func isNamed(t reflect.Type) bool {
	if t.Kind() == reflect.Map {
		return true
	}
	if !isList(t) {
		return false
	}
	name, ok := t.Elem().FieldByName("Name")
	return ok && name.Tag.Get("yaml") == "-"
}

// isList reports whether t is a slice of structs.
func isList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}
