package population

// Code systems used by more than one file. The codes are real, but their texts are ours. CPT and
// CDT, whose descriptors are licensed, are not used at all.
const (
	hl7   = "http://terminology.hl7.org/CodeSystem/"
	carin = "http://hl7.org/fhir/us/carin-bb/CodeSystem/"
	nubc  = "https://www.nubc.org/CodeSystem/"

	sysSNOMED   = "http://snomed.info/sct"
	sysLOINC    = "http://loinc.org"
	sysRxNorm   = "http://www.nlm.nih.gov/research/umls/rxnorm"
	sysICD10    = "http://hl7.org/fhir/sid/icd-10-cm"
	sysICD10PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
	sysNDC      = "http://hl7.org/fhir/sid/ndc"
	sysCVX      = "http://hl7.org/fhir/sid/cvx"
	sysNPI      = "http://hl7.org/fhir/sid/us-npi"
	sysUCUM     = "http://unitsofmeasure.org"
	sysHCPCS    = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
	sysDRG      = "https://www.cms.gov/Medicare/Medicare-Fee-for-Service-Payment/AcuteInpatientPPS/MS-DRG-Classifications-and-Software"
	sysPlace    = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
	sysTaxonomy = "http://nucc.org/provider-taxonomy"
	sysLanguage = "urn:ietf:bcp:47"
	sysRace     = "urn:oid:2.16.840.1.113883.6.238"
	sysMarital  = hl7 + "v3-MaritalStatus"
	sysActCode  = hl7 + "v3-ActCode"

	usCore = "http://hl7.org/fhir/us/core/StructureDefinition/"
	c4bb   = "http://hl7.org/fhir/us/carin-bb/StructureDefinition/"
	pdex   = "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/"

	pdexSystem = "http://hl7.org/fhir/us/davinci-pdex/CodeSystem/"
)

var (
	restricted    = code{hl7 + "v3-Confidentiality", "R", "restricted"}
	memberNumber  = code{hl7 + "v2-0203", "MB", "Member Number"}
	recordNumber  = code{hl7 + "v2-0203", "MR", "Medical record number"}
	notApplicable = code{hl7 + "data-absent-reason", "not-applicable", "Not Applicable"}
)
