package transport

import (
	"context"
	"crypto/tls"
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

// Words makes a server's text fit for a log: it keeps the words of a list, which are
// those of HTTP, OAuth, FHIR and of people who say what went wrong, and numbers below
// 1000; all others become "…". Servers are known to put patients into what they say
// (BCDA writes a beneficiary's number into its errors), no pattern finds all names, and
// what was refused is told well enough by words that are known. known are further words
// to keep, such as a scope that was asked for. The rest is as [Clean] has it.
func Words(text string, known ...string) string {
	var kept []string
	for _, w := range strings.Fields(Clean(text)) {
		w = knownWords(w, known)
		if w == "…" && len(kept) > 0 && kept[len(kept)-1] == w {
			continue
		}
		kept = append(kept, w)
	}
	return strings.Join(kept, " ")
}

// WordsOf is Words for an error that may quote what came over the wire. [errors.Is] and
// [errors.As] still find err.
func WordsOf(err error) error { return &wordsError{err} }

// wireError takes out of an error of package net/http what it quotes of an answer that is
// no HTTP ("malformed MIME header line: …"). What this machine and its TLS say stays.
func wireError(err error) error {
	var (
		network net.Error // dialing, look-ups, TLS alerts, timeouts
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

// smallNumber is 7, -1, 1.5, 50.00% or v2; more digits may be a date or somebody's number.
var smallNumber = regexp.MustCompile(`^(v[0-9]{1,3}|-?[0-9]{1,3}(\.[0-9]{1,2})?%?)$`)

// knownWords keeps of what stands between two blanks, which may be a form, what is known
// of it.
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
	case len(bare) == 1: // a single letter tells of nobody
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

// unknowns are several next to each other, such as the halves of a double name.
var unknowns = regexp.MustCompile(`…([^…a-zA-Z]*…)+`)

// isKnown looks a word up. Those of several words in one ("transactionTime") count as
// they are written, others in any case.
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

// isResourceType says whether word is a resource type's name.
func isResourceType(word string) bool {
	return vocabulary()[word] && word != "" && word[0] >= 'A' && word[0] <= 'Z'
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

// plainWords are those of messages about exchanges. None is a common given name: no may,
// will, mark, grant or rich.
const plainWords = `
a about above absent lock long dead downloaded ever found fourth half often second third accept accepted access account action active adapter add address admin after again
against aggregate all allow allowed already also an and another answer any api app application are argument
as ask asked asking assertion async at attempt attribute audience auth authentication authorization
authorize authorized available await awaiting back backend bad bearer be because been before begin begun
being below between blank blob body both boundary bucket buffer bulk business busy but by bytes cache call called
can canceled cancelled cannot capacity certificate change changed chars check checksum chunk chunked claims
client clients close closed code codes coding collect collecting comma common compartment complete
completed computing concurrent config configuration conflict connect connecting connection contact contain
contains content conversion convert converting copied copy costly could count counting coverage create created
creating credential credentials current data database date days deadline decode default delay delete
deleted denied depth detail details dev developer diagnostics did different directory disabled disk display
do does done down download downloads due duplicate during each element elements else empty enabled encode
encoded encoding end ended ending endpoint ends engine enough entries entry error errors event every exceed
exceeded exception exceptions exist exists expected expire expired expires export exported exporting exports
extension extra fail failed failing fails failure fatal feature fetch fetching fhir field fields file files
filter filters final finalizing find finish finished finishing first folder for forbidden form format found
from full future gateway gathering get getting given gone good gzip had handling has have header headers
health hint hold host hour hours how html http https id identifier identity idle if in inactive include
included incomplete incorrect index information initialize initializing input instance instant instead
insufficient informational internal into invalid invariant io is issue issued issues issuer it its job jobs json key keys kick
kickoff known lacks large last late later length less level limit limited limits line lines link list listed
loading local locate locked log login longer lookup loop lost maintenance malformed manifest many
match matched matches matching maximum mean media members membership memory merging message method
milliseconds mime minimum minutes missing mode more most much multiple must name named names ndjson need
needed needs network new next no nobody none not nothing now null number object objects of off offline ok on
once one only open openid operation operations option optional options or order organized origin other out
outcome output over overloaded overlap own page pages parallel param parameter parameters params parse
parser parsing part partial parts password path pending per perform permanently permission permissions
permitted persist pipe please poll polling pool population portal position possible prefer preference
prefix prepare preparing presented previous private problem process processed processing processor profile
progress prohibited protected protocol provide provided provider proxy public publish put query queue queued
quota range rate reached read reader reading ready realm realms received recommended record records recover
redacted redirect refer reference references refresh refused region register registered reject rejected
relation released reload remote remove removed repeat replay report request requested requesting requests
require required requires reserved reset resource resources respond response restart result results retried
retries retry returned revoked right rights role rs cruds launch root rows rule run running same save scan scanning schedule
scheduled schema scheme scope scopes search searching second seconds secret secure security see seen segment
send sending sent serialize server servers service session set setting severity shard should shut signature signed
single site size slow some something soon source specified spelled split staging start started starting
state statement status still stop stopped storage store stored stream strict string structure submitted subject
subscription success such sum suitable supplied support supported supports suppressed suspended syntax system tag task
temporarily temporary tenant terminated test text than that the their them then there these they this those
thread threads throttled throttling till time timed today tomorrow timeout times timestamp tls to token tokens too total
transaction transfer transient transport tried trigger try two type types unable unauthorized unavailable
unchanged under unexpected uninitialized union unique unit unknown unreadable unrecognized unreachable
unrelated unreliable unsupported until up update updated upload upstream uri url usage use used user users
using utc valid validate validation value values variable verification verify version versions via violation
wait waiting want wanted wants warning warnings was web went were what when where which while who whose why
window with within without word words work worker workers working write writing written wrong xml yesterday yet you
your zero zip zone

$export $status $davinci _elements _outputFormat _since _till _type _typeFilter _until access_denied
accesstoken access_token allowPartialManifests app_user_id apikey authcode authorization_code bearertoken
birthDate birthdate client_assertion client_assertion_type client_credentials client_id client_secret dstu
exportType fhirkiln grant_type gunzip handling_strict httpstatus includeAssociatedData invalid_client
invalid_grant invalid_request invalid_scope invalid_token jku jobid jti jwk jwks jwt kid lastUpdated lenient
non_matched oauth oauth2 oneup_user_id organizeOutputBy outputFormat private_key_jwt redirect_uri
refresh_token requiresAccessToken resourceType respond server_error slow_down smart temporarily_unavailable
token_endpoint token_type transactionTime typeFilter unauthorized_client unsupported_grant_type
unsupported_response_type invalid_user eof tcp dial ssl dns waf cdn s3 r4 r4b r5 stu3 dstu2 us utf-8 sha256
http2 http/1.1 http/1.0 http/2 goaway pdex blank runout ste mte eob
`
