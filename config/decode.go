package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A decoder fills structs from YAML nodes and collects problems. It walks the nodes itself,
// because decoding into structs with the YAML library loses the columns of wrong values, the
// positions of missing ones, and the text of numbers.
type decoder struct {
	file, dir string
	env       func(string) (string, bool)
	problems  []Problem
	warnings  []Problem
	steps     int                      // how many more nodes may be visited
	tags      map[reflect.Type][]field // by struct type, read once: forty payers have many feeds

	// at maps the path of each given value to its position, for mappings to that of their
	// key. failed has the paths that already have a problem, so that checks of related
	// values do not report its consequences.
	at     map[string]position
	failed map[string]bool

	// outside has the paths of values that are not in the file itself, or not entirely: those
	// with variables, and secrets.
	outside map[string]bool

	// doubtful has the names of the sources with a value from outside the file that is wrong,
	// or from a variable and empty. See stops.
	doubtful map[string]bool

	// dueTo has the paths of a feed's values that do not fit its source, and the source's name.
	dueTo map[string]string

	secretFiles map[string]string // the files that secrets come from, by the path of their key
}

// problem records what is wrong with the value at path. The message must hold no expanded
// value and no part of a secret.
func (d *decoder) problem(p position, path, format string, args ...any) {
	d.failed[path] = true
	d.problems = append(d.problems, Problem{d.file, p.line, p.column, path, fmt.Sprintf(format, args...)})
}

// problemAt is problem for a value that has been visited or is missing. Its position is that
// of the value, or else that of the innermost mapping around it.
func (d *decoder) problemAt(path, format string, args ...any) {
	d.problem(d.where(path), path, format, args...)
}

// warnAt is like problemAt, for settings that work but deserve a look.
func (d *decoder) warnAt(path, format string, args ...any) {
	p := d.where(path)
	d.warnings = append(d.warnings, Problem{d.file, p.line, p.column, path, fmt.Sprintf(format, args...)})
}

func (d *decoder) where(path string) position {
	for path != "" {
		if p, ok := d.at[path]; ok {
			return p
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
	return position{1, 1}
}

// given reports whether the file has the key at path.
func (d *decoder) given(path string) bool {
	_, ok := d.at[path]
	return ok
}

// object fills the struct v from a mapping. If n is nil, there is no mapping, and v gets its
// defaults.
func (d *decoder) object(n *yaml.Node, path string, v reflect.Value) {
	fields, known := d.tags[v.Type()]
	if !known {
		fields = fieldsOf(v.Type())
		d.tags[v.Type()] = fields
	}
	var keys []string
	for _, f := range fields {
		keys = append(keys, f.key)
		if v.Field(f.index).Type() == reflect.TypeFor[Secret]() {
			keys = append(keys, f.key+"_file")
		}
	}
	list, ok := d.mapping(n, path)
	if !ok {
		return
	}
	entries := map[string]entry{}
	for _, e := range list {
		entries[e.key] = e
		if !slices.Contains(keys, e.key) && !(path == "" && strings.HasPrefix(e.key, "x-")) {
			d.problem(e.at, join(path, e.key), "unknown key%s", didYouMean(e.key, keys))
		}
	}
	for _, f := range fields {
		child := join(path, f.key)
		if secret, ok := v.Field(f.index).Addr().Interface().(*Secret); ok {
			*secret = d.secret(entries, f, child)
			continue
		}
		if e, ok := entries[f.key]; ok {
			d.at[child] = e.at
			d.value(e.value, child, f, v.Field(f.index))
		} else {
			d.absent(child, f, v.Field(f.index))
		}
	}
}

// absent reports a required value as missing, and sets any other to its default.
func (d *decoder) absent(path string, f field, v reflect.Value) {
	_, isTime := v.Interface().(time.Time)
	switch {
	case d.failed[path]:
	case f.required:
		d.problemAt(path, "missing; expected %s", f.want)
	case v.Kind() == reflect.Struct && !isTime:
		d.object(nil, path, v)
	case f.fallback != "":
		if err := set(v, f.fallback, f); err != nil {
			panic(fmt.Sprintf("config: the default of %s: %v", path, err)) // a wrong tag, which every test finds
		}
	}
}

// value fills v from a node. v may have any type that a field can have.
func (d *decoder) value(n *yaml.Node, path string, f field, v reflect.Value) {
	_, isTime := v.Interface().(time.Time)
	switch {
	case v.Kind() == reflect.Struct && !isTime:
		d.object(n, path, v)
	case isNamed(v.Type()):
		d.named(n, path, v)
	case isList(v.Type()):
		d.mappings(n, path, f, v)
	case v.Kind() == reflect.Slice:
		d.list(n, path, f, v)
	default:
		d.at[path] = posOf(n)
		text, ok := d.text(n, path, f)
		switch {
		case !ok:
		case text == "" && f.required:
			d.valueProblem(posOf(n), path, "is empty; expected %s", f.want)
		case text == "":
			d.absent(path, f, v)
		default:
			if err := set(v, text, f); err != nil {
				d.valueProblem(posOf(n), path, "%s %v%s; expected %s", f.quote(n.Value), err, f.near(n.Value), f.want)
			}
		}
	}
}

// secret takes a secret from its key, or from the file that the key's twin names.
func (d *decoder) secret(entries map[string]entry, f field, path string) Secret {
	pathOfFile := path + "_file"
	d.outside[path], d.outside[pathOfFile] = true, true
	plain := field{want: "a string"}
	var text, file string
	if e, ok := entries[f.key]; ok {
		d.at[path] = posOf(e.value)
		text, _ = d.text(e.value, path, plain)
	}
	if e, ok := entries[f.key+"_file"]; ok {
		d.at[pathOfFile] = posOf(e.value)
		file, _ = d.text(e.value, pathOfFile, plain)
		if file == "" && text == "" && !d.failed[pathOfFile] {
			d.valueProblemAt(pathOfFile, "is empty; expected the path of a file")
		}
		d.failed[path] = d.failed[path] || d.failed[pathOfFile]
	}
	switch {
	case text != "" && file != "":
		d.problemAt(pathOfFile, "%s is also set; set only one of them", f.key)
		d.failed[path] = true
	case file != "":
		d.secretFiles[path] = d.resolved(file)
		s, exposed, err := readSecret(d.resolved(file))
		if err != nil {
			d.valueProblemAt(pathOfFile, "cannot read the file: %v; expected the path of a file that holds only the secret (relative paths start at the folder of the config file)", err)
			d.failed[path] = true
		}
		if exposed {
			d.warnExposed(pathOfFile)
		}
		return s
	}
	return Secret(text)
}

func (d *decoder) warnExposed(path string) {
	d.warnAt(path, "every user of this machine can read the file; restrict it with chmod 600")
}

// checkExposed warns if a secret's file that this package does not read exists and is exposed.
func (d *decoder) checkExposed(path, file string) {
	if file == "" {
		return
	}
	if info, err := os.Stat(file); err == nil && isExposed(info.Mode()) {
		d.warnExposed(path)
	}
}

// text returns the expanded text of a scalar, and whether there were no problems.
func (d *decoder) text(n *yaml.Node, path string, f field) (string, bool) {
	switch {
	case !d.step(n):
		return "", false
	case n.Kind != yaml.ScalarNode || isNull(n):
		d.problem(posOf(n), path, "found %s; expected %s", found(n), f.want)
		return "", false
	case n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str":
		d.problem(posOf(n), path, "has a YAML tag; expected %s without one (quote a string that begins with !)", f.want)
		return "", false
	}
	text, unset, faults := expand(n.Value, d.env)
	if strings.Contains(strings.ReplaceAll(n.Value, "$$", ""), "${") {
		d.outside[path] = true
		d.doubtful[sourceOf(path)] = d.doubtful[sourceOf(path)] || text == ""
	}
	for _, fault := range faults {
		d.problem(posOf(n), path, "%s", fault)
	}
	for _, name := range unset {
		d.valueProblem(posOf(n), path, "the environment variable %s is not set; set it, or write ${%[1]s:-default}", name)
	}
	return text, len(unset)+len(faults) == 0
}
