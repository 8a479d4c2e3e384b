package columnar_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"fhirkiln/fhir"
)

// generator makes resources from FHIR's elements. It knows R4 from package fhir, and nothing about
// the layout.
type generator struct {
	r      *rand.Rand
	fill   float64        // probability of an element
	only   []string       // if not nil, exactly the elements on the way to these paths
	path   string         // of the object being made, with a dot at the end
	choice map[string]int // by path: which of a choice's types comes next; they take turns
	out    []byte
}

func newGenerator(seed uint64, fill float64) *generator {
	return &generator{r: rand.New(rand.NewPCG(seed, 1)), fill: fill, choice: map[string]int{}}
}

// resource makes a resource. One of a type that R4 does not know has the elements of
// DomainResource, and one more.
func (g *generator) resource(name string) string {
	g.out = g.out[:0]
	g.object(name, lookup(name), nil)
	return string(g.out)
}

func lookup(name string) *fhir.Type {
	typ, ok := fhir.R4().Lookup(name)
	if !ok {
		typ, _ = fhir.R4().Lookup("DomainResource")
	}
	return typ
}

func (g *generator) chance(p float64) bool { return g.r.Float64() < p }

// object writes an object of a type. within has the types on the path down to it.
func (g *generator) object(resourceType string, typ *fhir.Type, within []*fhir.Type) {
	within = append(within[:len(within):len(within)], typ)
	g.out = append(g.out, '{')
	if resourceType != "" {
		g.out = fmt.Appendf(g.out, `"resourceType":%q,`, resourceType)
		if _, known := fhir.R4().Lookup(resourceType); !known {
			g.out = append(g.out, `"colour":{"code":["green",1.50,null]},`...)
		}
	}
	for i := range typ.Elements {
		e := &typ.Elements[i]
		if !g.wants(e, within) {
			continue
		}
		m := g.member(e, within)
		child := fhir.R4().TypeOf(m)
		count := 0
		if e.Array {
			count = 1 + g.r.IntN(2)
			if len(within) <= 2 {
				count = 2 + g.r.IntN(2)
			}
			if len(within) > 4 && g.only == nil {
				count = 1
			}
		}
		around := g.path
		g.path += m.Name + "."
		g.out = fmt.Appendf(g.out, "%q:", m.Name)
		g.values(count, func() { g.value(child, within) })
		g.path = around
		if child.Kind == fhir.KindPrimitive && !e.Attribute && g.chance(0.04) {
			g.out = fmt.Appendf(g.out, "%q:", "_"+m.Name)
			g.values(count, func() { g.sibling(within) })
		}
	}
	g.closing('}')
}

// member chooses a type for an element.
func (g *generator) member(e *fhir.Element, within []*fhir.Type) fhir.Member {
	turn := 0
	if e.Choice {
		path := e.Name
		for _, t := range within {
			path = t.Name + "/" + path
		}
		turn = g.choice[path] % len(e.Types)
		g.choice[path]++
		if g.chance(0.1) { // so that choices are not in step
			g.choice[path]++
		}
	}
	m, _ := within[len(within)-1].Member(e.JSONName(e.Types[turn]))
	return m
}

// wants decides whether to write an element. Even if all are wanted, an element within one of its
// own type becomes less and less likely, or there would be no end.
func (g *generator) wants(e *fhir.Element, within []*fhir.Type) bool {
	if g.only != nil {
		return slices.ContainsFunc(g.only, func(path string) bool { return strings.HasPrefix(path, g.path+e.Name) })
	}
	p := g.fill
	switch e.Name {
	case "extension", "modifierExtension":
		p = min(p, 0.04)
		if inside(within, "Extension") > 0 {
			p = min(g.fill, 0.2)
		}
	case "contained", "resource":
		p = min(p, 0.5)
	case "id":
		if len(within) > 1 {
			p = min(p, 0.1)
		}
	}
	name := e.Types[0]
	if e.Backbone != nil {
		name = e.Backbone.Name
	}
	again := inside(within, name)
	return again < 3 && g.chance(p*[]float64{1, 0.25, 0.25}[again])
}

// inside counts how often a type is on the path.
func inside(within []*fhir.Type, name string) int {
	n := 0
	for _, t := range within {
		if t.Name == name {
			n++
		}
	}
	return n
}

// values writes one value, or an array of count, and a comma.
func (g *generator) values(count int, value func()) {
	if count == 0 {
		value()
	} else {
		g.out = append(g.out, '[')
		for range count {
			value()
			g.out = append(g.out, ',')
		}
		g.closing(']')
	}
	g.out = append(g.out, ',')
}

// closing writes a closing bracket, in place of the last comma if there is one.
func (g *generator) closing(bracket byte) {
	if last := len(g.out) - 1; g.out[last] == ',' {
		g.out[last] = bracket
	} else {
		g.out = append(g.out, bracket)
	}
}

func (g *generator) value(typ *fhir.Type, within []*fhir.Type) {
	switch typ.Kind {
	case fhir.KindPrimitive:
		g.out = append(g.out, g.primitive(typ.Name)...)
	case fhir.KindResource:
		fill := g.fill
		g.fill = min(fill, 0.2)
		name := g.pick("Patient", "Observation", "Medication", "Organization", "Foo")
		g.object(name, lookup(name), within)
		g.fill = fill
	default:
		g.object("", typ, within)
	}
}

// sibling writes the "_x" of a primitive x: an object, or null.
func (g *generator) sibling(within []*fhir.Type) {
	if g.chance(0.3) {
		g.out = append(g.out, "null"...)
		return
	}
	extension, _ := fhir.R4().Lookup("Extension")
	g.out = append(g.out, '{')
	if g.chance(0.3) {
		g.out = append(g.out, `"id":"e1",`...)
	}
	g.out = append(g.out, `"extension":`...)
	g.values(1+g.r.IntN(2), func() { g.object("", extension, within) })
	g.closing('}')
}

func (g *generator) pick(from ...string) string { return from[g.r.IntN(len(from))] }

// primitive returns a valid value of one of FHIR's primitive types, as JSON.
func (g *generator) primitive(name string) string {
	n := func(limit int) int { return g.r.IntN(limit) }
	switch name {
	case "boolean":
		return g.pick("true", "false")
	case "decimal":
		return g.decimal()
	case "integer":
		return g.pick("0", "-1", "2147483647", "-2147483648", strconv.Itoa(n(1000)))
	case "positiveInt":
		return g.pick("1", "2147483647", strconv.Itoa(n(1000)+1))
	case "unsignedInt":
		return g.pick("0", "2147483647", strconv.Itoa(n(1000)))
	case "date":
		return g.pick(`"1970"`, `"2015-02"`, fmt.Sprintf(`"%04d-%02d-%02d"`, 1850+n(250), n(12)+1, n(28)+1))
	case "dateTime", "instant":
		day := fmt.Sprintf(`"%04d-%02d-%02d`, 1+n(2300), n(12)+1, n(28)+1)
		clock := fmt.Sprintf("T%02d:%02d:%02d", n(24), n(60), n(60))
		if name == "dateTime" && g.chance(0.3) {
			return g.pick(`"2015"`, `"1905-08"`, day+`"`)
		}
		return day + clock + g.pick("", ".5", ".123", ".123456789") + g.pick("Z", "+00:00", "-05:00", "+13:45") + `"`
	case "time":
		return fmt.Sprintf(`"%02d:%02d:%02d"`, n(24), n(60), n(60))
	case "base64Binary":
		return `"` + strings.Repeat(g.pick("QUJD", "AAECAw==", "+/+/"), n(8)+1) + `"`
	case "uri", "url", "canonical":
		return g.pick(`"http://example.com/`+strconv.Itoa(n(50))+`"`, `"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"`, `"http:\/\/hl7.org\/fhir|4.0.1"`)
	case "oid":
		return `"urn:oid:1.2.3.` + strconv.Itoa(n(9)) + `"`
	case "uuid":
		return fmt.Sprintf(`"urn:uuid:%08x-0000-4000-8000-000000000000"`, g.r.Int64N(1<<31))
	case "code":
		return g.pick(`"active"`, `"final"`, `"a b"`, fmt.Sprintf(`"%d-%d"`, n(99999), n(10)))
	case "id":
		return fmt.Sprintf(`"%x-%d"`, g.r.Int64N(1<<31), n(100))
	case "xhtml":
		return `"<div xmlns=\"http://www.w3.org/1999/xhtml\">` + g.pick("a &lt; b", `a\n\tb`, `<p>x<\/p>`) + `</div>"`
	}
	return g.text()
}

// decimal returns a number in one of the forms that people and programs write.
func (g *generator) decimal() string {
	n := g.r.IntN
	switch n(4) {
	case 0:
		return g.pick("0", "0.0", "-0", "1e3", "1E-20", "-1.5e+2", "0.000000001", "0.0000000015", "99999999999999999999999999999",
			"99999999999999999999999999999.9999999999", "123456789012345678901234567890123456789012345678901234567890", "3.14159265358979323846")
	case 1:
		return fmt.Sprintf("%d.%02d", n(10000), n(100)) // money: 12.30
	case 2:
		return fmt.Sprintf("-%d.%d", n(100), n(10000))
	}
	return strconv.FormatFloat(float64(n(1_000_000))/1000, 'f', -1, 64)
}

// text returns a JSON string, now and then with something odd in it.
func (g *generator) text() string {
	return `"` + g.pick("", "Springfield", "Main Street", "weight", "two words") +
		g.pick("", "", " "+strconv.Itoa(g.r.IntN(1000)), `\u00e9t\u00e9`, "\u00e9\u4e16", "\U0001F600", `\ud83d\ude00`, `\"q\"\\`, `\/`, `\n`, `\u0000`, "\u007f", "\u2028") + `"`
}
