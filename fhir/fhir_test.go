package fhir_test

import (
	"slices"
	"testing"

	"fhirkiln/fhir"
)

func lookup(t *testing.T, name string) *fhir.Type {
	t.Helper()
	typ, ok := fhir.R4().Lookup(name)
	if !ok {
		t.Fatalf("Lookup(%q) finds nothing", name)
	}
	return typ
}

func TestLookup(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		kind     fhir.Kind
		json     fhir.JSON
		base     string
		abstract bool
	}{
		{"Patient", fhir.KindResource, fhir.JSONObject, "DomainResource", false},
		{"Bundle", fhir.KindResource, fhir.JSONObject, "Resource", false},
		{"DomainResource", fhir.KindResource, fhir.JSONObject, "Resource", true},
		{"Resource", fhir.KindResource, fhir.JSONObject, "", true},
		{"HumanName", fhir.KindComplex, fhir.JSONObject, "Element", false},
		{"Age", fhir.KindComplex, fhir.JSONObject, "Quantity", false},
		{"Dosage", fhir.KindComplex, fhir.JSONObject, "BackboneElement", false},
		{"BackboneElement", fhir.KindComplex, fhir.JSONObject, "Element", true},
		{"Element", fhir.KindComplex, fhir.JSONObject, "", true},
		{"canonical", fhir.KindPrimitive, fhir.JSONString, "uri", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := lookup(t, tt.name)
			if got.Name != tt.name || got.Kind != tt.kind || got.JSON != tt.json || got.Base != tt.base || got.Abstract != tt.abstract {
				t.Errorf("got %s %v %v base %q abstract %v", got.Name, got.Kind, got.JSON, got.Base, got.Abstract)
			}
			if again := lookup(t, tt.name); again != got {
				t.Error("a second Lookup gives another *Type")
			}
		})
	}
}

func TestLookupUnknown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "patient", "PATIENT", "Patient ", "Patient.contact", "Foo", "*", "System.String",
		"SimpleQuantity", "MoneyQuantity", // profiles of Quantity
		"MetadataResource",           // a logical model
		"SubscriptionStatus",         // R4B
		"Bot", "Project", "AsyncJob", // a vendor's
	} {
		if typ, ok := fhir.R4().Lookup(name); ok || typ != nil {
			t.Errorf("Lookup(%q) = %v, %v", name, typ, ok)
		}
	}
}

func TestTypeOf(t *testing.T) {
	t.Parallel()
	r4 := fhir.R4()
	tests := []struct {
		typ, member string
		want        string
	}{
		{"Patient", "birthDate", "date"},
		{"Patient", "deceasedBoolean", "boolean"},
		{"Patient", "contact", "Patient.contact"},
		{"Patient", "contained", "Resource"},
		{"Timing", "repeat", "Timing.repeat"},
		{"Observation", "valueCodeableConcept", "CodeableConcept"},
		{"ClaimResponse", "adjudication", "ClaimResponse.item.adjudication"},
	}
	for _, tt := range tests {
		m, ok := lookup(t, tt.typ).Member(tt.member)
		if !ok {
			t.Errorf("%s has no member %s", tt.typ, tt.member)
			continue
		}
		if got := r4.TypeOf(m); got == nil || got.Name != tt.want {
			t.Errorf("TypeOf(%s.%s) = %v, want %s", tt.typ, tt.member, got, tt.want)
		}
	}
}

func TestMemberUnknown(t *testing.T) {
	t.Parallel()
	patient := lookup(t, "Patient")
	for _, name := range []string{"", "deceased", "deceased[x]", "deceasedString", "_birthDate", "resourceType", "Name"} {
		if m, ok := patient.Member(name); ok {
			t.Errorf("Member(%q) = %v", name, m)
		}
	}
	for _, name := range []string{"", "deceasedBoolean", "deceased[x]", "resourceType"} {
		if e, ok := patient.Element(name); ok || e != nil {
			t.Errorf("Element(%q) = %v", name, e)
		}
	}
}

// The caller owns the slices of names; changes to one must not show in the next.
func TestNamesAreCopies(t *testing.T) {
	t.Parallel()
	for _, names := range []func() []string{fhir.R4().ResourceTypes, fhir.R4().DataTypes} {
		before := names()
		clear(names())
		if !slices.Equal(before, names()) {
			t.Error("a caller's write reaches the next caller")
		}
	}
}
