package fhir_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/fhir"
)

// HL7's types and nothing else: distributors of the definitions add elements
// of their own, especially to Meta.
func TestTypes(t *testing.T) {
	t.Parallel()
	const (
		datatype       = "id 0..1 string, extension 0..* Extension, "
		backbone       = datatype + "modifierExtension 0..* Extension, "
		resource       = "id 0..1 id, meta 0..1 Meta, implicitRules 0..1 uri, language 0..1 code, "
		domainResource = resource + "text 0..1 Narrative, contained 0..* Resource, extension 0..* Extension, modifierExtension 0..* Extension, "
	)
	tests := []struct {
		path string // of a type, or of the elements that lead to a backbone type
		want string
	}{
		{"Meta", datatype + "versionId 0..1 id, lastUpdated 0..1 instant, source 0..1 uri, profile 0..* canonical, security 0..* Coding, tag 0..* Coding"},
		{"Coding", datatype + "system 0..1 uri, version 0..1 string, code 0..1 code, display 0..1 string, userSelected 0..1 boolean"},
		{"CodeableConcept", datatype + "coding 0..* Coding, text 0..1 string"},
		{"Identifier", datatype + "use 0..1 code, type 0..1 CodeableConcept, system 0..1 uri, value 0..1 string, period 0..1 Period, assigner 0..1 Reference(Organization)"},
		{"Reference", datatype + "reference 0..1 string, type 0..1 uri, identifier 0..1 Identifier, display 0..1 string"},
		{"HumanName", datatype + "use 0..1 code, text 0..1 string, family 0..1 string, given 0..* string, prefix 0..* string, suffix 0..* string, period 0..1 Period"},
		{"Address", datatype + "use 0..1 code, type 0..1 code, text 0..1 string, line 0..* string, city 0..1 string, district 0..1 string, state 0..1 string, postalCode 0..1 string, country 0..1 string, period 0..1 Period"},
		{"ContactPoint", datatype + "system 0..1 code, value 0..1 string, use 0..1 code, rank 0..1 positiveInt, period 0..1 Period"},
		{"Period", datatype + "start 0..1 dateTime, end 0..1 dateTime"},
		{"Quantity", datatype + "value 0..1 decimal, comparator 0..1 code, unit 0..1 string, system 0..1 uri, code 0..1 code"},
		{"Duration", datatype + "value 0..1 decimal, comparator 0..1 code, unit 0..1 string, system 0..1 uri, code 0..1 code"},
		{"Money", datatype + "value 0..1 decimal, currency 0..1 code"},
		{"Attachment", datatype + "contentType 0..1 code, language 0..1 code, data 0..1 base64Binary, url 0..1 url, size 0..1 unsignedInt, hash 0..1 base64Binary, title 0..1 string, creation 0..1 dateTime"},
		{"Annotation", datatype + "author[x] 0..1 Reference(Practitioner,Patient,RelatedPerson,Organization)|string, time 0..1 dateTime, text 1..1 markdown"},
		{"Narrative", datatype + "status 1..1 code, div 1..1 xhtml"},
		{"Signature", datatype + "type 1..* Coding, when 1..1 instant, who 1..1 Reference(Practitioner,PractitionerRole,RelatedPerson,Patient,Device,Organization), onBehalfOf 0..1 Reference(Practitioner,PractitionerRole,RelatedPerson,Patient,Device,Organization), targetFormat 0..1 code, sigFormat 0..1 code, data 0..1 base64Binary"},
		{"Extension", datatype + "url 1..1 uri, value[x] 0..1 *"},
		{"Timing", backbone + "event 0..* dateTime, repeat 0..1 Element, code 0..1 CodeableConcept"},
		{"Timing.repeat", datatype + "bounds[x] 0..1 Duration|Range|Period, count 0..1 positiveInt, countMax 0..1 positiveInt, duration 0..1 decimal, durationMax 0..1 decimal, durationUnit 0..1 code, frequency 0..1 positiveInt, frequencyMax 0..1 positiveInt, period 0..1 decimal, periodMax 0..1 decimal, periodUnit 0..1 code, dayOfWeek 0..* code, timeOfDay 0..* time, when 0..* code, offset 0..1 unsignedInt"},

		{"Patient", domainResource + "identifier 0..* Identifier, active 0..1 boolean, name 0..* HumanName, telecom 0..* ContactPoint, gender 0..1 code, birthDate 0..1 date, deceased[x] 0..1 boolean|dateTime, address 0..* Address, maritalStatus 0..1 CodeableConcept, multipleBirth[x] 0..1 boolean|integer, photo 0..* Attachment, contact 0..* BackboneElement, communication 0..* BackboneElement, generalPractitioner 0..* Reference(Organization,Practitioner,PractitionerRole), managingOrganization 0..1 Reference(Organization), link 0..* BackboneElement"},
		{"Patient.contact", backbone + "relationship 0..* CodeableConcept, name 0..1 HumanName, telecom 0..* ContactPoint, address 0..1 Address, gender 0..1 code, organization 0..1 Reference(Organization), period 0..1 Period"},
		{"Patient.link", backbone + "other 1..1 Reference(Patient,RelatedPerson), type 1..1 code"},
		{"Observation", domainResource + "identifier 0..* Identifier, basedOn 0..* Reference(CarePlan,DeviceRequest,ImmunizationRecommendation,MedicationRequest,NutritionOrder,ServiceRequest), partOf 0..* Reference(MedicationAdministration,MedicationDispense,MedicationStatement,Procedure,Immunization,ImagingStudy), status 1..1 code, category 0..* CodeableConcept, code 1..1 CodeableConcept, subject 0..1 Reference(Patient,Group,Device,Location), focus 0..* Reference, encounter 0..1 Reference(Encounter), effective[x] 0..1 dateTime|Period|Timing|instant, issued 0..1 instant, performer 0..* Reference(Practitioner,PractitionerRole,Organization,CareTeam,Patient,RelatedPerson), value[x] 0..1 Quantity|CodeableConcept|string|boolean|integer|Range|Ratio|SampledData|time|dateTime|Period, dataAbsentReason 0..1 CodeableConcept, interpretation 0..* CodeableConcept, note 0..* Annotation, bodySite 0..1 CodeableConcept, method 0..1 CodeableConcept, specimen 0..1 Reference(Specimen), device 0..1 Reference(Device,DeviceMetric), referenceRange 0..* BackboneElement, hasMember 0..* Reference(Observation,QuestionnaireResponse,MolecularSequence), derivedFrom 0..* Reference(DocumentReference,ImagingStudy,Media,QuestionnaireResponse,Observation,MolecularSequence), component 0..* BackboneElement"},
		{"Observation.component", backbone + "code 1..1 CodeableConcept, value[x] 0..1 Quantity|CodeableConcept|string|boolean|integer|Range|Ratio|SampledData|time|dateTime|Period, dataAbsentReason 0..1 CodeableConcept, interpretation 0..* CodeableConcept, referenceRange 0..* #Observation.referenceRange"},
		{"Binary", resource + "contentType 1..1 code, securityContext 0..1 Reference, data 0..1 base64Binary"},
		{"Parameters", resource + "parameter 0..* BackboneElement"},
		{"Parameters.parameter", backbone + "name 1..1 string, value[x] 0..1 *, resource 0..1 Resource, part 0..* #Parameters.parameter"},
		{"Bundle", resource + "identifier 0..1 Identifier, type 1..1 code, timestamp 0..1 instant, total 0..1 unsignedInt, link 0..* BackboneElement, entry 0..* BackboneElement, signature 0..1 Signature"},
		{"Bundle.entry", backbone + "link 0..* #Bundle.link, fullUrl 0..1 uri, resource 0..1 Resource, search 0..1 BackboneElement, request 0..1 BackboneElement, response 0..1 BackboneElement"},
		{"Bundle.entry.response", backbone + "status 1..1 string, location 0..1 uri, etag 0..1 string, lastModified 0..1 instant, outcome 0..1 Resource"},
		{"QuestionnaireResponse.item", backbone + "linkId 1..1 string, definition 0..1 uri, text 0..1 string, answer 0..* BackboneElement, item 0..* #QuestionnaireResponse.item"},
		{"QuestionnaireResponse.item.answer", backbone + "value[x] 0..1 boolean|decimal|integer|date|dateTime|time|string|uri|Attachment|Coding|Quantity|Reference, item 0..* #QuestionnaireResponse.item"},
		{"EvidenceVariable.characteristic", backbone + "description 0..1 string, definition[x] 1..1 Reference(Group)|canonical|CodeableConcept|Expression|DataRequirement|TriggerDefinition, usageContext 0..* UsageContext, exclude 0..1 boolean, participantEffective[x] 0..1 dateTime|Period|Duration|Timing, timeFromStart 0..1 Duration, groupMeasure 0..1 code"},
		{"ObservationDefinition", domainResource + "category 0..* CodeableConcept, code 1..1 CodeableConcept, identifier 0..* Identifier, permittedDataType 0..* code, multipleResultsAllowed 0..1 boolean, method 0..1 CodeableConcept, preferredReportName 0..1 string, quantitativeDetails 0..1 BackboneElement, qualifiedInterval 0..* BackboneElement, validCodedValueSet 0..1 Reference(ValueSet), normalCodedValueSet 0..1 Reference(ValueSet), abnormalCodedValueSet 0..1 Reference(ValueSet), criticalCodedValueSet 0..1 Reference(ValueSet)"},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(strings.Split(tt.want, ", "), describe(find(t, tt.path))); diff != "" {
				t.Errorf("elements of %s (-want +got):\n%s", tt.path, diff)
			}
		})
	}
}

// find returns the type at the end of a path of backbone elements.
func find(t *testing.T, path string) *fhir.Type {
	t.Helper()
	names := strings.Split(path, ".")
	typ := lookup(t, names[0])
	for _, name := range names[1:] {
		e, ok := typ.Element(name)
		if !ok || e.Backbone == nil {
			t.Fatalf("%s: no backbone element %s", path, name)
		}
		typ = e.Backbone
	}
	if typ.Name != path {
		t.Fatalf("the type of %s is called %s", path, typ.Name)
	}
	return typ
}

// describe returns a type's elements in the notation of the specification's tables.
func describe(typ *fhir.Type) []string {
	lines := make([]string, len(typ.Elements))
	for i, e := range typ.Elements {
		name, most := e.Name, "1"
		if e.Choice {
			name += "[x]"
		}
		if e.Array {
			most = "*"
		}
		types := strings.Join(e.Types, "|")
		switch {
		case e.ContentReference != "":
			types = "#" + e.ContentReference
		case e.Open:
			types = "*"
		case len(e.Targets) > 0:
			types = strings.Replace(types, "Reference", "Reference("+strings.Join(e.Targets, ",")+")", 1)
		}
		lines[i] = fmt.Sprintf("%s %d..%s %s", name, e.Min, most, types)
	}
	return lines
}
