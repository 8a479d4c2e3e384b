package columnar_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

// nasty makes a plausible resource and mutates it: JSON that is valid and hardly FHIR any more.
func (g *generator) nasty(name string, mutations int) string {
	v, err := parse(g.resource(name))
	if err != nil {
		panic(err) // the generator makes JSON
	}
	for range mutations {
		g.mutate(v)
	}
	if t := v.get("resourceType"); t == nil || t.raw != `"`+name+`"` {
		v.members = slices.Insert(v.members, 0, member{`"resourceType"`, &tree{raw: `"` + name + `"`}})
	}
	return v.String()
}

// mutate changes one of a value's objects and arrays.
func (g *generator) mutate(root *tree) {
	var all []*tree
	var collect func(v *tree)
	collect = func(v *tree) {
		if v.isObject() || v.isArray() {
			all = append(all, v)
		}
		for _, m := range v.members {
			collect(m.value)
		}
	}
	collect(root)
	v := all[g.r.IntN(len(all))]
	at := g.r.IntN(len(v.members) + 1)
	if at == len(v.members) {
		v.members = append(v.members, member{g.oddKey(), g.odd()})
		return
	}
	m := &v.members[at]
	switch g.r.IntN(11) {
	case 0:
		m.value = g.odd()
	case 1:
		v.members = slices.Insert(v.members, at, member{g.oddKey(), g.odd()})
	case 2: // duplicate the member
		v.members = slices.Insert(v.members, g.r.IntN(len(v.members)+1), *m)
	case 3: // duplicate only its name
		v.members = slices.Insert(v.members, g.r.IntN(len(v.members)+1), member{m.key, g.odd()})
	case 4:
		v.members = slices.Delete(v.members, at, at+1)
	case 5:
		g.r.Shuffle(len(v.members), func(i, j int) { v.members[i], v.members[j] = v.members[j], v.members[i] })
	case 6:
		if v != root {
			v.members = nil
		}
	case 7:
		m.value = &tree{raw: "[", members: []member{{value: m.value}, {value: g.odd()}}}
	case 8:
		m.value = &tree{raw: "null"}
	case 9:
		if v.isObject() && 'a' <= m.key[1] && m.key[1] <= 'z' {
			m.key = fmt.Sprintf(`"\u%04x%s`, m.key[1], m.key[2:])
		}
	case 10:
		if v.isObject() {
			v.members = append(v.members, member{`"_` + m.key[1:], g.odd()})
		}
	}
}

func (g *generator) oddKey() string {
	return g.pick(`""`, `"a"`, `"id"`, `"_id"`, `"extension"`, `"modifierExtension"`, `"contained"`, `"resourceType"`, `"value"`, `"valueString"`, `"valueQuantity"`, `"meta"`,
		`"/"`, `"~"`, `"~1"`, `"a.b[0]"`, `"\""`, `"\\"`, `"\ud800"`, `"\udc00\ud800"`, `"\u0000"`, "\"\u4e16\"", `"__residual"`, `"element"`, `"-1"`, `"0"`)
}

func (g *generator) odd() *tree {
	if g.chance(0.3) {
		object := &tree{raw: g.pick("{", "[")}
		for range g.r.IntN(3) {
			object.members = append(object.members, member{g.oddKey(), g.odd()})
		}
		return object
	}
	if g.chance(0.2) { // the shapes that siblings and extensions have
		v, err := parse(g.pick(`{"id":"x"}`, `{"extension":[{"url":"u","valueCode":"c"}]}`, `[null,{"extension":[{"url":"u"}],"id":"y"},null]`, `[{"url":"u"}]`, `[[]]`, `[{}]`, `[null]`, `{"reference":"r"}`))
		if err != nil {
			panic(err)
		}
		return v
	}
	return &tree{raw: g.pick("null", "true", "false", "0", "-0", "1.0", "1e2", "-1.50", "1E-20", "1e400", "2147483648", "-2147483649", "12345678901234567890123456789012345678901234567890",
		`""`, `"x"`, `"2015-02"`, `"2015-02-30"`, `"\ud800"`, `"\u0000"`, `"\ud83d\ude00"`, `"true"`, `"null"`, `"\/"`)}
}

// fuzzSeed returns a file of resources for a seed: over many seeds, most things occur.
func fuzzSeed(seed uint64, mutations int) []string {
	g := newGenerator(seed, 0)
	types := everyType()
	name := types[g.r.IntN(len(types))]
	lines := make([]string, 1+g.r.IntN(6))
	for i := range lines {
		g.fill = []float64{0.05, 0.1, 0.2, 0.4}[g.r.IntN(4)]
		lines[i] = g.nasty(name, g.r.IntN(mutations+1))
	}
	return lines
}

// TestNasty tries a few seeds; FuzzNasty tries as many as there is time for.
func TestNasty(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		lines := fuzzSeed(seed, 12)
		parts := roundTrip(t, columnar.Options{RowGroupBytes: 5000}, lines...)
		for _, p := range parts {
			check(t, p)
		}
		if t.Failed() {
			t.Fatalf("it is seed %d", seed)
		}
	}
}

// FuzzNasty looks for resources that do not survive the round trip.
func FuzzNasty(f *testing.F) {
	f.Add(uint64(1), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, mutations uint8) {
		for _, p := range roundTrip(t, columnar.Options{RowGroupBytes: 5000}, fuzzSeed(seed, int(mutations))...) {
			check(t, p)
		}
	})
}

// FuzzRoundTrip takes any line: either it comes back, or it was not a valid line.
func FuzzRoundTrip(f *testing.F) {
	g := newGenerator(1, 0.2)
	for _, name := range []string{"Patient", "Observation", "Questionnaire", "Task", "Bundle", "Parameters", "MolecularSequence", "Foo"} {
		f.Add(g.resource(name))
		f.Add(g.nasty(name, 5))
	}
	for _, bad := range badLines {
		f.Add(bad.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		line = strings.Trim(line, " \t\r\n")
		if strings.Contains(line, "\n") || strings.HasPrefix(line, "\uFEFF") || line == "" {
			return
		}
		var q quarantine
		parts, read := convert(t, columnar.Options{Quarantine: q.take}, strings.NewReader(ndjson(line, line)))
		if read.Resources+read.Quarantined != 2 || read.Resources == 1 {
			t.Fatalf("the statistics are %+v", read)
		}
		v, err := parse(line)
		if read.Quarantined > 0 {
			if q[0].Line != line {
				t.Errorf("the line in quarantine is %q", q[0].Line)
			}
			if err == nil && v.isObject() && strings.HasPrefix(q[0].Reason, "it ") && !strings.Contains(q[0].Reason, "deeper") && q[0].Reason != noType {
				t.Errorf("a good line is in quarantine: %s", q[0].Reason)
			}
			return
		}
		if err != nil {
			t.Fatalf("it became a row: %v", err)
		}
		for _, p := range parts {
			check(t, p)
			for _, got := range resources(t, p) {
				if d := difference(line, got); d != "" {
					t.Error(d)
				}
			}
		}
	})
}
