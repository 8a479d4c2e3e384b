package columnar_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// tree is a JSON value as written, parsed independently of the package.
type tree struct {
	raw     string // a scalar's text, "{" or "["
	members []member
}

// member is a member of an object, or an element of an array, which has no key.
type member struct {
	key   string // with its quotes and escapes
	value *tree
}

// parse reads one JSON value. It accepts what RFC 8259 allows, duplicate names and escaped lone
// surrogates included, and nesting of any depth that the package accepts.
func parse(text string) (*tree, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("it is not valid UTF-8")
	}
	d := jsontext.NewDecoder(bytes.NewReader([]byte(text)), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	v, err := parseValue(d)
	if err != nil {
		return nil, err
	}
	if rest := strings.Trim(text[d.InputOffset():], " \t\r\n"); rest != "" {
		return nil, fmt.Errorf("something follows the value")
	}
	return v, nil
}

func parseValue(d *jsontext.Decoder) (*tree, error) {
	kind := d.PeekKind()
	if kind != '{' && kind != '[' {
		raw, err := d.ReadValue()
		return &tree{raw: string(raw)}, err
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	v := &tree{raw: string(rune(kind))}
	for {
		next := d.PeekKind()
		if next == '}' || next == ']' {
			_, err := d.ReadToken()
			return v, err
		}
		var m member
		if kind == '{' {
			key, err := d.ReadValue()
			if err != nil {
				return nil, err
			}
			m.key = string(key)
		}
		var err error
		if m.value, err = parseValue(d); err != nil {
			return nil, err
		}
		v.members = append(v.members, m)
	}
}

func (v *tree) isObject() bool { return v.raw == "{" }
func (v *tree) isArray() bool  { return v.raw == "[" }

// get returns the first member of that name, or nil.
func (v *tree) get(name string) *tree {
	for _, m := range v.members {
		if units(m.key) == name {
			return m.value
		}
	}
	return nil
}

// String returns the value as it was written, without white space.
func (v *tree) String() string {
	var b strings.Builder
	v.write(&b)
	return b.String()
}

func (v *tree) write(b *strings.Builder) {
	b.WriteString(v.raw)
	if !v.isObject() && !v.isArray() {
		return
	}
	for i, m := range v.members {
		if i > 0 {
			b.WriteByte(',')
		}
		if v.isObject() {
			b.WriteString(m.key)
			b.WriteByte(':')
		}
		m.value.write(b)
	}
	b.WriteByte(v.raw[0] + 2)
}

// units returns the UTF-16 code units of a JSON string: only they tell lone surrogates apart.
// Printable ASCII stands for itself, which keeps differences readable.
func units(quoted string) string {
	s := quoted[1 : len(quoted)-1]
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	b := make([]byte, 0, 2*len(s))
	unit := func(u rune) {
		if plain(u) {
			b = append(b, byte(u))
		} else {
			b = fmt.Appendf(b, `\u%04x`, u)
		}
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r != '\\' {
			if high, low := utf16.EncodeRune(r); high == utf8.RuneError {
				unit(r)
			} else {
				unit(high)
				unit(low)
			}
			i += n
			continue
		}
		if s[i+1] == 'u' {
			u, err := strconv.ParseUint(s[i+2:i+6], 16, 16)
			if err != nil {
				panic(err) // jsontext has passed it
			}
			unit(rune(u))
			i += 6
			continue
		}
		if at := strings.IndexByte("bfnrt", s[i+1]); at >= 0 {
			unit(rune("\b\f\n\r\t"[at]))
		} else {
			unit(rune(s[i+1]))
		}
		i += 2
	}
	return string(b)
}

func plain(r rune) bool { return r >= ' ' && r < 0x7f && r != '"' && r != '\\' }

// sorted returns the value with the members of all objects ordered by name. Members of the same
// name keep their order. Strings become their code units.
func (v *tree) sorted() *tree {
	c := &tree{raw: v.raw}
	if strings.HasPrefix(v.raw, `"`) {
		c.raw = `"` + units(v.raw) + `"`
	}
	for _, m := range v.members {
		if v.isObject() {
			m.key = `"` + units(m.key) + `"`
		}
		m.value = m.value.sorted()
		c.members = append(c.members, m)
	}
	if v.isObject() {
		slices.SortStableFunc(c.members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	}
	return c
}

// difference returns where two values differ as JSON trees, "" if nowhere: members may be in any
// order but must have the same names, equally often; arrays must be in order, and numbers as
// written.
func difference(want, got string) string {
	a, err := parse(want)
	if err != nil {
		return fmt.Sprintf("the wanted one is no JSON: %v", err)
	}
	b, err := parse(got)
	if err != nil {
		return fmt.Sprintf("it is no JSON: %v", err)
	}
	return firstDifference("", a.sorted(), b.sorted())
}

func firstDifference(at string, a, b *tree) string {
	if a.raw != b.raw {
		return fmt.Sprintf("at %q: %.200s became %.200s", at, a, b)
	}
	for i := range max(len(a.members), len(b.members)) {
		switch {
		case i >= len(b.members):
			return fmt.Sprintf("at %q: %s %.200s is lost", at, a.members[i].key, a.members[i].value)
		case i >= len(a.members):
			return fmt.Sprintf("at %q: %s %.200s is added", at, b.members[i].key, b.members[i].value)
		}
		x, y := a.members[i], b.members[i]
		if x.key != y.key {
			return fmt.Sprintf("at %q: %s %.200s became %s %.200s", at, x.key, x.value, y.key, y.value)
		}
		step := strconv.Itoa(i)
		if a.isObject() {
			step = x.key
		}
		if d := firstDifference(at+"/"+step, x.value, y.value); d != "" {
			return d
		}
	}
	return ""
}

func TestDifference(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{`{"a":1,"b":[true,null,"x"]}`, ` { "b" : [ true , null , "\u0078" ] , "\u0061" : 1 } `, true},
		{`{"a":1,"b":2,"a":3}`, `{"b":2,"a":1,"a":3}`, true},
		{`{"a":1,"b":2,"a":3}`, `{"b":2,"a":3,"a":1}`, false},
		{`{"a":1,"a":1}`, `{"a":1}`, false},
		{`{"a":1.0}`, `{"a":1}`, false},
		{`{"a":1e1}`, `{"a":1E1}`, false},
		{`{"a":-0}`, `{"a":0}`, false},
		{`[1,2]`, `[2,1]`, false},
		{`[]`, `{}`, false},
		{`[null]`, `[]`, false},
		{`{"a":null}`, `{}`, false},
		{`"\ud83d\ude00"`, "\"\U0001F600\"", true},
		{`"\ud800"`, `"\ufffd"`, false},
		{`"\ud800"`, `"\uD800"`, true},
		{`{"\udc00":1}`, `{"\udc01":1}`, false},
		{`"\\u0041"`, `"A"`, false},
		{`"\/\b\f\n\r\t\"\\"`, `"/\u0008\u000c\u000a\u000d\u0009\u0022\u005c"`, true},
		{`"null"`, `null`, false},
	} {
		if d := difference(tt.a, tt.b); (d == "") != tt.same {
			t.Errorf("%s and %s: %q", tt.a, tt.b, d)
		}
	}
}
