package fhir

import (
	"strings"
	"sync"
	"testing"
)

func parsed(d *Definitions) []string {
	var names []string
	for _, name := range d.names {
		if d.entries[name].typ != nil {
			names = append(names, name)
		}
	}
	return names
}

// A program that looks up one type must not pay for the others.
func TestLookupParsesOnlyWhatItNeeds(t *testing.T) {
	t.Parallel()
	d := newDefinitions(r4Text)
	if got := parsed(d); got != nil {
		t.Errorf("parsed before the first Lookup: %v", got)
	}
	if len(d.ResourceTypes()) == 0 || parsed(d) != nil {
		t.Errorf("ResourceTypes parses %v", parsed(d))
	}
	d.Lookup("Patient")
	if got, want := strings.Join(parsed(d), " "), "BackboneElement Element DomainResource Patient Resource"; got != want {
		t.Errorf("Lookup of Patient parsed %s, want %s", got, want)
	}
}

func TestConcurrentLookup(t *testing.T) {
	t.Parallel()
	d := newDefinitions(r4Text)
	const workers = 8
	var found [workers][]*Type
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range d.names {
				// Each worker starts elsewhere, so that several need the same
				// base at once.
				typ, _ := d.Lookup(d.names[(i+w*len(d.names)/workers)%len(d.names)])
				found[w] = append(found[w], typ)
			}
		})
	}
	wg.Wait()
	for w, types := range found {
		for i, typ := range types {
			if want, _ := d.Lookup(d.names[(i+w*len(d.names)/workers)%len(d.names)]); typ != want {
				t.Fatalf("worker %d got another %s", w, want.Name)
			}
		}
	}
}

// Text that the generator does not write panics.
func TestBadTextPanics(t *testing.T) {
	t.Parallel()
	const element = "fhir 0\n\ncomplex-type Element\n @id 0..1 string\n\n"
	for name, text := range map[string]string{
		"unknown kind":              "fhir 0\n\ntype A",
		"unknown base":              "fhir 0\n\nresource A : B",
		"bad indentation":           element + "complex-type A : Element\n  x 0..1 string",
		"no indentation":            element + "complex-type A : Element\nx 0..1 string",
		"no types":                  element + "complex-type A : Element\n x 0..1",
		"bad cardinality":           element + "complex-type A : Element\n x 0..10 string",
		"unknown content reference": element + "complex-type A : Element\n x 0..1 #A.y",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if message, _ := recover().(string); !strings.HasPrefix(message, "fhir: r4.txt: ") {
					t.Errorf("no panic, or another one: %q", message)
				}
			}()
			newDefinitions(text).Lookup("A")
		})
	}
}

// BenchmarkFirst measures the cost of first use: finding all types and parsing
// one with its bases.
func BenchmarkFirst(b *testing.B) {
	for _, name := range []string{"Patient", "ExplanationOfBenefit"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				newDefinitions(r4Text).Lookup(name)
			}
		})
	}
}

func BenchmarkParseAll(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		d := newDefinitions(r4Text)
		for _, name := range d.names {
			d.Lookup(name)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for b.Loop() {
		R4().Lookup("Patient")
	}
}
