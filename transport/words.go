package transport

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// Words makes a server's text fit for a log. It keeps numbers below 1000 and the words of a
// fixed list (the vocabulary of HTTP, OAuth, FHIR and error messages), and replaces all other
// words by "…". Servers are known to put patients into their messages (BCDA's errors hold a
// beneficiary's number), no pattern finds all names, and the listed words suffice to explain a
// refusal. known are further words to keep, such as a requested scope. The text is also cleaned
// as by [Clean].
func Words(text string, known ...string) string {
	var kept []string
	for w := range strings.FieldsSeq(Clean(text)) {
		w = knownWords(w, known)
		if w == "…" && len(kept) > 0 && kept[len(kept)-1] == w {
			continue
		}
		kept = append(kept, w)
	}
	return strings.Join(kept, " ")
}

// WordsOf wraps an error that may quote what came over the wire, and reduces its text by
// [Words]. [errors.Is] and [errors.As] still find err.
func WordsOf(err error) error { return &wordsError{err} }

// wireError removes from an error of package net/http what it quotes of a response that is not
// HTTP ("malformed MIME header line: …"). Errors of this machine and its TLS stay unchanged.
func wireError(err error) error {
	var (
		network net.Error // dialing, name resolution, TLS alerts, timeouts
		record  tls.RecordHeaderError
		cert    *tls.CertificateVerificationError
	)
	switch {
	case err == nil, err == io.EOF, err == io.ErrUnexpectedEOF, errors.As(err, &network), errors.As(err, &record), errors.As(err, &cert),
		errors.Is(err, context.Canceled), errors.Is(err, http.ErrSchemeMismatch):
		return err
	}
	return WordsOf(err)
}

type wordsError struct{ err error }

func (e *wordsError) Error() string { return Words(e.err.Error()) }
func (e *wordsError) Unwrap() error { return e.err }

const punctuation = "\"'`()[]{}<>.,;:!?“”„…"

// smallNumber matches 7, -1, 1.5, 50.00% or v2; more digits may be a date or a person's number.
var smallNumber = regexp.MustCompile(`^(v[0-9]{1,3}|-?[0-9]{1,3}(\.[0-9]{1,2})?%?)$`)

// knownWords keeps the known words of w, a text without blanks that may be form-encoded.
func knownWords(w string, known []string) string {
	bare := strings.Trim(w, punctuation)
	switch {
	case slices.Contains(known, bare):
		return w
	case strings.Contains(w, "://"):
		return "…"
	}
	var b strings.Builder
	for part := range strings.SplitAfterSeq(w, "=") {
		for part := range strings.SplitAfterSeq(part, "&") {
			word := strings.TrimRight(part, "=&")
			b.WriteString(knownWord(word) + part[len(word):])
		}
	}
	return b.String()
}

func knownWord(w string) string {
	bare := strings.Trim(w, punctuation)
	switch {
	case strings.ContainsFunc(bare, unicode.IsDigit):
		if smallNumber.MatchString(bare) || isKnown(bare) {
			return w
		}
		return "…"
	case len(bare) == 1: // a single letter identifies nobody
		return w
	}
	var b strings.Builder
	letters := ""
	end := func() {
		switch {
		case letters == "":
		case isKnown(letters):
			b.WriteString(letters)
		default:
			b.WriteString("…")
		}
		letters = ""
	}
	for _, r := range w {
		if unicode.IsLetter(r) || r == '_' || r == '$' {
			letters += string(r)
			continue
		}
		end()
		if r <= unicode.MaxASCII || r == '…' {
			b.WriteRune(r)
		}
	}
	end()
	shown := unknowns.ReplaceAllString(b.String(), "…")
	if !strings.ContainsFunc(shown, unicode.IsLetter) && strings.Contains(shown, "…") {
		return "…" // a name with its comma
	}
	return shown
}

// unknowns matches several "…" next to each other, such as the halves of a double name.
var unknowns = regexp.MustCompile(`…([^…a-zA-Z]*…)+`)

// isKnown reports whether a word is on the list. Words that the list spells in mixed case
// ("transactionTime") must match exactly, except resource types; others match in any case.
func isKnown(word string) bool {
	return vocabulary()[word] || vocabulary()[strings.ToLower(word)]
}

var vocabulary = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(resourceTypes + plainWords) {
		set[w] = true
	}
	for w := range strings.FieldsSeq(strings.ToLower(resourceTypes)) {
		set[w] = true
	}
	return set
})

// isResourceType reports whether word is the name of a resource type.
func isResourceType(word string) bool {
	return vocabulary()[word] && word[0] >= 'A' && word[0] <= 'Z' // "" is not in the vocabulary
}

// resourceTypes are R4's.
const resourceTypes = `
Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic
Binary BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry
ChargeItem ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication
CommunicationRequest CompartmentDefinition Composition ConceptMap Condition Consent Contract Coverage
CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric
DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis
Encounter Endpoint EnrollmentRequest EnrollmentResponse EpisodeOfCare EventDefinition Evidence
EvidenceVariable ExampleScenario ExplanationOfBenefit FamilyMemberHistory Flag Goal GraphDefinition Group
GuidanceResponse HealthcareService ImagingStudy Immunization ImmunizationEvaluation
ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List Location Measure
MeasureReport Media Medication MedicationAdministration MedicationDispense MedicationKnowledge
MedicationRequest MedicationStatement MedicinalProduct MedicinalProductAuthorization
MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient
MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged
MedicinalProductPharmaceutical MedicinalProductUndesirableEffect MessageDefinition MessageHeader
MolecularSequence NamingSystem NutritionOrder Observation ObservationDefinition OperationDefinition
OperationOutcome Organization OrganizationAffiliation Parameters Patient PaymentNotice PaymentReconciliation
Person PlanDefinition Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse
RelatedPerson RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject
RiskAssessment RiskEvidenceSynthesis Schedule SearchParameter ServiceRequest Slot Specimen SpecimenDefinition
StructureDefinition StructureMap Subscription Substance SubstanceNucleicAcid SubstancePolymer
SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification SupplyDelivery
SupplyRequest Task TerminologyCapabilities TestReport TestScript ValueSet VerificationResult
VisionPrescription
`

// plainWords are the words of messages about exchanges, one per line. None is a common given
// name: no may, will, mark, grant or rich.
//
//go:embed words.txt
var plainWords string
