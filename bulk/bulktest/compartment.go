package bulktest

import "strings"

// exports reports whether a type is exported at a level.
func (l level) exports(typ string) bool {
	return l == systemLevel || hasNoPatient(typ) || typ == "Patient" || compartmentPaths(typ) != nil
}

// hasNoPatient reports whether a type is outside of the patient compartment, but exported whole
// with it, since it helps to interpret the patients' data.
func hasNoPatient(typ string) bool {
	switch typ {
	case "Practitioner", "PractitionerRole", "Organization", "Location":
		return true
	}
	return false
}

// compartmentPaths returns the elements that put a resource into the compartments of the
// patients they refer to, or nil for a type that is never in one. They follow R4's
// CompartmentDefinition/patient, without Group but with Device, which US Core uses for implants.
// A Patient is only in its own compartment, by its id, not in those of patients it links to.
func compartmentPaths(typ string) []string {
	switch typ {
	case "BodyStructure", "ClaimResponse", "Consent", "CoverageEligibilityRequest", "CoverageEligibilityResponse",
		"DetectedIssue", "Device", "EpisodeOfCare", "FamilyMemberHistory", "ImmunizationEvaluation",
		"ImmunizationRecommendation", "Immunization", "MolecularSequence", "NutritionOrder", "RelatedPerson",
		"SupplyDelivery", "VisionPrescription":
		return []string{"patient"}
	case "Account", "AdverseEvent", "ChargeItem", "ClinicalImpression", "DeviceUseStatement", "DiagnosticReport",
		"Encounter", "Flag", "Goal", "ImagingStudy", "MeasureReport", "Media", "MedicationRequest",
		"MedicationStatement", "RiskAssessment", "Specimen":
		return []string{"subject"}
	case "AllergyIntolerance":
		return []string{"patient", "recorder", "asserter"}
	case "Appointment":
		return []string{"participant.actor"}
	case "AppointmentResponse", "Schedule":
		return []string{"actor"}
	case "AuditEvent":
		return []string{"agent.who", "entity.what"}
	case "Basic":
		return []string{"subject", "author"}
	case "CarePlan":
		return []string{"subject", "activity.detail.performer"}
	case "CareTeam":
		return []string{"subject", "participant.member"}
	case "Claim", "ExplanationOfBenefit":
		return []string{"patient", "payee.party"}
	case "Communication":
		return []string{"subject", "sender", "recipient"}
	case "CommunicationRequest":
		return []string{"subject", "sender", "recipient", "requester"}
	case "Composition":
		return []string{"subject", "author", "attester.party"}
	case "Condition":
		return []string{"subject", "asserter"}
	case "Coverage":
		return []string{"policyHolder", "subscriber", "beneficiary", "payor"}
	case "DeviceRequest", "Observation", "ServiceRequest":
		return []string{"subject", "performer"}
	case "DocumentManifest":
		return []string{"subject", "author", "recipient"}
	case "DocumentReference", "QuestionnaireResponse":
		return []string{"subject", "author"}
	case "EnrollmentRequest":
		return []string{"candidate"}
	case "Invoice":
		return []string{"subject", "recipient"}
	case "List":
		return []string{"subject", "source"}
	case "MedicationAdministration", "Procedure":
		return []string{"subject", "performer.actor"}
	case "MedicationDispense":
		return []string{"subject", "receiver"}
	case "Person":
		return []string{"link.target"}
	case "Provenance":
		return []string{"target"}
	case "RequestGroup":
		return []string{"subject", "action.participant"}
	case "ResearchSubject":
		return []string{"individual"}
	case "SupplyRequest":
		return []string{"deliverTo"}
	}
	return nil
}

// patientID returns the id of the patient that a reference names: Patient/id or an absolute URL
// ending in it, with or without a version, or urn:uuid:id, as in resources that came in a
// Bundle. (The last may name anything, but UUIDs do not collide.)
func patientID(reference string) (id string, ok bool) {
	if id, ok := strings.CutPrefix(reference, "urn:uuid:"); ok {
		return id, id != ""
	}
	reference, _, _ = strings.Cut(reference, "/_history/")
	i := strings.LastIndex("/"+reference, "/Patient/")
	if i < 0 {
		return "", false
	}
	id = ("/" + reference)[i+len("/Patient/"):]
	return id, id != "" && !strings.Contains(id, "/")
}

// isResourceType reports whether R4 has a resource type of that name.
func isResourceType(name string) bool {
	return name != "" && !strings.ContainsAny(name, " \n") && strings.Contains(resourceTypes, " "+name+" ")
}

const resourceTypes = " Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent " +
	"Basic Binary BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry " +
	"ChargeItem ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication CommunicationRequest " +
	"CompartmentDefinition Composition ConceptMap Condition Consent Contract Coverage CoverageEligibilityRequest " +
	"CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement " +
	"DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis Encounter Endpoint EnrollmentRequest " +
	"EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceVariable ExampleScenario ExplanationOfBenefit " +
	"FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy Immunization " +
	"ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List " +
	"Location Measure MeasureReport Media Medication MedicationAdministration MedicationDispense MedicationKnowledge " +
	"MedicationRequest MedicationStatement MedicinalProduct MedicinalProductAuthorization MedicinalProductContraindication " +
	"MedicinalProductIndication MedicinalProductIngredient MedicinalProductInteraction MedicinalProductManufactured " +
	"MedicinalProductPackaged MedicinalProductPharmaceutical MedicinalProductUndesirableEffect MessageDefinition " +
	"MessageHeader MolecularSequence NamingSystem NutritionOrder Observation ObservationDefinition OperationDefinition " +
	"OperationOutcome Organization OrganizationAffiliation Parameters Patient PaymentNotice PaymentReconciliation Person " +
	"PlanDefinition Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse RelatedPerson " +
	"RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject RiskAssessment " +
	"RiskEvidenceSynthesis Schedule SearchParameter ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition " +
	"StructureMap Subscription Substance SubstanceNucleicAcid SubstancePolymer SubstanceProtein " +
	"SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification SupplyDelivery SupplyRequest Task " +
	"TerminologyCapabilities TestReport TestScript ValueSet VerificationResult VisionPrescription "
