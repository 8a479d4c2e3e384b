package fhir_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/fhir"
)

// The expectations of these tests come from the specification's pages at
// https://hl7.org/fhir/R4/, not from the file that the package embeds.

func TestVersion(t *testing.T) {
	t.Parallel()
	if got := fhir.R4().Version(); got != "4.0.1" {
		t.Errorf("Version() = %q", got)
	}
}

// https://hl7.org/fhir/R4/resourcelist.html: its 148 names minus the abstract
// Resource and DomainResource.
func TestResourceTypes(t *testing.T) {
	t.Parallel()
	want := strings.Fields(`
		Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse
		AuditEvent Basic Binary BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement
		CarePlan CareTeam CatalogEntry ChargeItem ChargeItemDefinition Claim ClaimResponse
		ClinicalImpression CodeSystem Communication CommunicationRequest CompartmentDefinition
		Composition ConceptMap Condition Consent Contract Coverage CoverageEligibilityRequest
		CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest
		DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference
		EffectEvidenceSynthesis Encounter Endpoint EnrollmentRequest EnrollmentResponse
		EpisodeOfCare EventDefinition Evidence EvidenceVariable ExampleScenario
		ExplanationOfBenefit FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse
		HealthcareService ImagingStudy Immunization ImmunizationEvaluation
		ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List
		Location Measure MeasureReport Media Medication MedicationAdministration
		MedicationDispense MedicationKnowledge MedicationRequest MedicationStatement
		MedicinalProduct MedicinalProductAuthorization MedicinalProductContraindication
		MedicinalProductIndication MedicinalProductIngredient MedicinalProductInteraction
		MedicinalProductManufactured MedicinalProductPackaged MedicinalProductPharmaceutical
		MedicinalProductUndesirableEffect MessageDefinition MessageHeader MolecularSequence
		NamingSystem NutritionOrder Observation ObservationDefinition OperationDefinition
		OperationOutcome Organization OrganizationAffiliation Parameters Patient PaymentNotice
		PaymentReconciliation Person PlanDefinition Practitioner PractitionerRole Procedure
		Provenance Questionnaire QuestionnaireResponse RelatedPerson RequestGroup
		ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject RiskAssessment
		RiskEvidenceSynthesis Schedule SearchParameter ServiceRequest Slot Specimen
		SpecimenDefinition StructureDefinition StructureMap Subscription Substance
		SubstanceNucleicAcid SubstancePolymer SubstanceProtein SubstanceReferenceInformation
		SubstanceSourceMaterial SubstanceSpecification SupplyDelivery SupplyRequest Task
		TerminologyCapabilities TestReport TestScript ValueSet VerificationResult
		VisionPrescription`)
	if len(want) != 146 {
		t.Fatalf("the test's list has %d names", len(want))
	}
	if diff := cmp.Diff(want, fhir.R4().ResourceTypes()); diff != "" {
		t.Errorf("resource types (-want +got):\n%s", diff)
	}
}

// https://hl7.org/fhir/R4/datatypes.html and metadatatypes.html.
func TestDataTypes(t *testing.T) {
	t.Parallel()
	want := strings.Fields(`
		base64Binary boolean canonical code date dateTime decimal id instant integer markdown oid
		positiveInt string time unsignedInt uri url uuid xhtml

		Address Age Annotation Attachment CodeableConcept Coding ContactDetail ContactPoint
		Contributor Count DataRequirement Distance Dosage Duration ElementDefinition Expression
		Extension HumanName Identifier MarketingStatus Meta Money Narrative ParameterDefinition
		Period Population ProdCharacteristic ProductShelfLife Quantity Range Ratio Reference
		RelatedArtifact SampledData Signature SubstanceAmount Timing TriggerDefinition
		UsageContext`)
	if diff := cmp.Diff(want, fhir.R4().DataTypes()); diff != "" {
		t.Errorf("datatypes (-want +got):\n%s", diff)
	}
}

// https://hl7.org/fhir/R4/json.html#primitive.
func TestPrimitives(t *testing.T) {
	t.Parallel()
	want := map[string]fhir.JSON{
		"boolean":      fhir.JSONBoolean,
		"integer":      fhir.JSONNumber,
		"positiveInt":  fhir.JSONNumber,
		"unsignedInt":  fhir.JSONNumber,
		"decimal":      fhir.JSONNumber,
		"string":       fhir.JSONString,
		"code":         fhir.JSONString,
		"uri":          fhir.JSONString,
		"url":          fhir.JSONString,
		"canonical":    fhir.JSONString,
		"oid":          fhir.JSONString,
		"uuid":         fhir.JSONString,
		"id":           fhir.JSONString,
		"markdown":     fhir.JSONString,
		"base64Binary": fhir.JSONString,
		"xhtml":        fhir.JSONString,
		"date":         fhir.JSONString,
		"dateTime":     fhir.JSONString,
		"instant":      fhir.JSONString,
		"time":         fhir.JSONString,
	}
	got := make(map[string]fhir.JSON)
	everyType(t, func(typ *fhir.Type) {
		if typ.Kind == fhir.KindPrimitive {
			got[typ.Name] = typ.JSON
		} else if typ.JSON != fhir.JSONObject {
			t.Errorf("%s is a JSON %s", typ.Name, typ.JSON)
		}
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("primitives (-want +got):\n%s", diff)
	}
}

// Elements that were added to these types after R4, or by others.
func TestNotInR4(t *testing.T) {
	t.Parallel()
	for path, names := range map[string][]string{
		"Meta":             {"project", "author", "onBehalfOf", "account", "accounts", "compartment"},
		"Binary":           {"url"},
		"DeviceDefinition": {"classification", "bodySite"},
		"ResearchStudy":    {"name", "label", "studyDesign", "region", "descriptionSummary", "classifier", "associatedParty", "progressStatus", "recruitment", "comparisonGroup", "outcomeMeasure", "result"},
		"Attachment":       {"height", "width", "pages"},
		"Encounter":        {"actualPeriod"},
	} {
		typ := find(t, path)
		for _, name := range names {
			if _, ok := typ.Element(name); ok {
				t.Errorf("%s has an element %s", path, name)
			}
		}
	}
}

// https://hl7.org/fhir/R4/datatypes.html#open, in the order of Extension's
// snapshot.
func TestOpenChoice(t *testing.T) {
	t.Parallel()
	want := strings.Fields(`
		valueBase64Binary valueBoolean valueCanonical valueCode valueDate valueDateTime
		valueDecimal valueId valueInstant valueInteger valueMarkdown valueOid valuePositiveInt
		valueString valueTime valueUnsignedInt valueUri valueUrl valueUuid valueAddress valueAge
		valueAnnotation valueAttachment valueCodeableConcept valueCoding valueContactPoint
		valueCount valueDistance valueDuration valueHumanName valueIdentifier valueMoney
		valuePeriod valueQuantity valueRange valueRatio valueReference valueSampledData
		valueSignature valueTiming valueContactDetail valueContributor valueDataRequirement
		valueExpression valueParameterDefinition valueRelatedArtifact valueTriggerDefinition
		valueUsageContext valueDosage valueMeta`)
	if len(want) != 50 {
		t.Fatalf("the test's list has %d names", len(want))
	}
	var got []string
	for _, m := range find(t, "Extension").Members() {
		if m.Element.Choice {
			got = append(got, m.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members of value[x] (-want +got):\n%s", diff)
	}

	var open []string
	everyType(t, func(typ *fhir.Type) {
		for _, e := range typ.Elements {
			if e.Open != (len(e.Types) == 50) {
				t.Errorf("%s.%s: Open is %v with %d types", typ.Name, e.Name, e.Open, len(e.Types))
			}
			if e.Open {
				open = append(open, typ.Name+"."+e.Name)
			}
		}
	})
	slices.Sort(open)
	wantOpen := strings.Fields(`
		ElementDefinition.defaultValue ElementDefinition.example.value ElementDefinition.fixed
		ElementDefinition.pattern Extension.value Parameters.parameter.value
		StructureMap.group.rule.source.defaultValue Task.input.value Task.output.value`)
	if diff := cmp.Diff(wantOpen, open); diff != "" {
		t.Errorf("open choices (-want +got):\n%s", diff)
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	everyType(t, func(typ *fhir.Type) {
		for _, e := range typ.Elements {
			want := e.Name == "id" && typ.Kind != fhir.KindResource || typ.Name == "Extension" && e.Name == "url"
			if e.Attribute != want {
				t.Errorf("%s.%s: Attribute is %v", typ.Name, e.Name, e.Attribute)
			}
		}
	})
}
