package fhir_test

import (
	"slices"
	"strings"
	"testing"

	"fhirkiln/fhir"
)

// everyType calls f for all named types, including abstract ones, and for each
// backbone type where it is defined.
func everyType(t *testing.T, f func(*fhir.Type)) {
	t.Helper()
	var visit func(*fhir.Type)
	visit = func(typ *fhir.Type) {
		f(typ)
		for i := range typ.Elements {
			if e := &typ.Elements[i]; e.Backbone != nil && e.ContentReference == "" {
				visit(e.Backbone)
			}
		}
	}
	r4 := fhir.R4()
	names := slices.Concat(r4.DataTypes(), r4.ResourceTypes(), []string{"Element", "BackboneElement", "Resource", "DomainResource"})
	for _, name := range names {
		visit(lookup(t, name))
	}
}

// The totals were counted in HL7's profiles-types.xml and
// profiles-resources.xml by another program: the elements of all snapshots except
// those of profiles and logical models, minus the root of each, the value of the
// 20 primitives, and xhtml.extension, which has a maximum of 0.
func TestTotals(t *testing.T) {
	t.Parallel()
	var types, backbones, elements, arrays, required, choices, references, contentReferences, open int
	everyType(t, func(typ *fhir.Type) {
		if typ.Kind == fhir.KindBackbone {
			backbones++
		} else {
			types++
		}
		for _, e := range typ.Elements {
			elements++
			count := func(n *int, is bool) {
				if is {
					*n++
				}
			}
			count(&arrays, e.Array)
			count(&required, e.Min == 1)
			count(&choices, e.Choice)
			count(&open, e.Open)
			count(&references, slices.Contains(e.Types, "Reference"))
			count(&contentReferences, e.ContentReference != "")
		}
	})
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"named types", types, 209},
		{"backbone types", backbones, 473},
		{"elements", elements, 7445},
		{"arrays", arrays, 2938},
		{"required elements", required, 773},
		{"choices", choices, 186},
		{"open choices", open, 9},
		{"elements that may be a Reference", references, 740},
		{"content references", contentReferences, 55},
	} {
		if c.got != c.want {
			t.Errorf("%d %s, want %d", c.got, c.what, c.want)
		}
	}
}

func TestEveryTypeResolves(t *testing.T) {
	t.Parallel()
	r4 := fhir.R4()
	everyType(t, func(typ *fhir.Type) {
		for _, m := range typ.Members() {
			child := r4.TypeOf(m)
			if child == nil {
				t.Errorf("%s.%s: type %s is unknown", typ.Name, m.Name, m.Type)
				continue
			}
			inline := m.Type == "BackboneElement" || m.Type == "Element"
			if inline != (child.Kind == fhir.KindBackbone) || inline != (m.Element.Backbone != nil) {
				t.Errorf("%s.%s: type %s leads to a %s type", typ.Name, m.Name, m.Type, child.Kind)
			}
			if child.Abstract && child.Name != "Resource" {
				t.Errorf("%s.%s is of the abstract type %s", typ.Name, m.Name, child.Name)
			}
		}
		for _, e := range typ.Elements {
			for _, target := range e.Targets {
				if targetType, ok := r4.Lookup(target); !ok || targetType.Kind != fhir.KindResource || targetType.Abstract {
					t.Errorf("%s.%s: target %s is no concrete resource type", typ.Name, e.Name, target)
				}
			}
			if len(e.Targets) > 0 && !slices.Contains(e.Types, "Reference") {
				t.Errorf("%s.%s has targets but is no Reference", typ.Name, e.Name)
			}
		}
	})
}

func TestEveryContentReferenceResolves(t *testing.T) {
	t.Parallel()
	backbones := make(map[string]*fhir.Type)
	everyType(t, func(typ *fhir.Type) {
		if typ.Kind == fhir.KindBackbone {
			backbones[typ.Name] = typ
		}
	})
	recursive := 0
	everyType(t, func(typ *fhir.Type) {
		for _, e := range typ.Elements {
			if e.ContentReference == "" {
				if e.Recursive {
					t.Errorf("%s.%s is recursive without a content reference", typ.Name, e.Name)
				}
				continue
			}
			if e.Backbone == nil || e.Backbone != backbones[e.ContentReference] {
				t.Errorf("%s.%s: the content reference to %s does not lead there", typ.Name, e.Name, e.ContentReference)
			}
			if within := typ.Name == e.ContentReference || strings.HasPrefix(typ.Name, e.ContentReference+"."); within != e.Recursive {
				t.Errorf("%s.%s: Recursive is %v", typ.Name, e.Name, e.Recursive)
			}
			if e.Recursive {
				recursive++
			}
		}
	})
	if recursive != 21 {
		t.Errorf("%d recursive elements, want 21", recursive)
	}
}

// Backbone types lead back to themselves only through elements marked Recursive.
func TestRecursiveMarksEveryCycle(t *testing.T) {
	t.Parallel()
	var visit func(typ *fhir.Type, within []*fhir.Type)
	visit = func(typ *fhir.Type, within []*fhir.Type) {
		if slices.Contains(within, typ) {
			t.Errorf("%s is within itself", typ.Name)
			return
		}
		within = append(within, typ)
		for _, e := range typ.Elements {
			if e.Backbone != nil && !e.Recursive {
				visit(e.Backbone, within)
			}
		}
	}
	for _, name := range fhir.R4().ResourceTypes() {
		visit(lookup(t, name), nil)
	}
}

func TestJSONNamesAreUnique(t *testing.T) {
	t.Parallel()
	everyType(t, func(typ *fhir.Type) {
		seen := make(map[string]bool)
		for _, m := range typ.Members() {
			// Engines such as Hive ignore case.
			folded := strings.ToLower(m.Name)
			if seen[folded] {
				t.Errorf("%s has two members %s", typ.Name, m.Name)
			}
			seen[folded] = true
			if m.Name == "" || strings.ContainsAny(m.Name, "[]_.@ ") {
				t.Errorf("%s: bad member name %q", typ.Name, m.Name)
			}
			if typ.Kind == fhir.KindResource && m.Name == "resourceType" {
				t.Errorf("%s has an element called resourceType", typ.Name)
			}
		}
	})
}

func TestMembersFollowElements(t *testing.T) {
	t.Parallel()
	everyType(t, func(typ *fhir.Type) {
		members := typ.Members()
		for i := range typ.Elements {
			e := &typ.Elements[i]
			if len(e.Types) == 0 || (len(e.Types) > 1) != e.Choice {
				t.Fatalf("%s.%s: choice %v of %d types", typ.Name, e.Name, e.Choice, len(e.Types))
			}
			for _, code := range e.Types {
				if len(members) == 0 || members[0] != (fhir.Member{Name: e.JSONName(code), Type: code, Element: e}) {
					t.Fatalf("%s.%s: no member for type %s in its place", typ.Name, e.Name, code)
				}
				if got, ok := typ.Member(members[0].Name); !ok || got != members[0] {
					t.Errorf("%s.Member(%q) = %v, %v", typ.Name, members[0].Name, got, ok)
				}
				members = members[1:]
			}
		}
		if len(members) > 0 {
			t.Errorf("%s: %d members too many", typ.Name, len(members))
		}
	})
}

// The base determines which elements come first. The one exception is xhtml,
// which may not be extended.
func TestInheritedElementsComeFirst(t *testing.T) {
	t.Parallel()
	prefixes := map[string]string{
		"Element":         "id extension",
		"BackboneElement": "id extension modifierExtension",
		"Quantity":        "id extension value comparator unit system code",
		"Resource":        "id meta implicitRules language",
		"DomainResource":  "id meta implicitRules language text contained extension modifierExtension",
		"string":          "id extension",
		"uri":             "id extension",
		"integer":         "id extension",
	}
	everyType(t, func(typ *fhir.Type) {
		if typ.Base == "" || typ.Name == "xhtml" {
			return
		}
		prefix, ok := prefixes[typ.Base]
		if !ok {
			t.Errorf("%s: unknown base %s", typ.Name, typ.Base)
		}
		if got := elementNames(typ); got != prefix && !strings.HasPrefix(got, prefix+" ") {
			t.Errorf("%s: elements are %s, want %s first", typ.Name, got, prefix)
		}
		if first := typ.Elements[0]; first.Name != "id" || first.Attribute != (typ.Kind != fhir.KindResource) {
			t.Errorf("%s: first element is %s, attribute %v", typ.Name, first.Name, first.Attribute)
		}
	})
	if got := elementNames(lookup(t, "xhtml")); got != "id" {
		t.Errorf("elements of xhtml are %s, want only id", got)
	}
}

func elementNames(typ *fhir.Type) string {
	names := make([]string, len(typ.Elements))
	for i, e := range typ.Elements {
		names[i] = e.Name
	}
	return strings.Join(names, " ")
}
