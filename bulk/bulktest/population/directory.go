package population

import "strconv"

// The directory is the part of the world that belongs to no patient: insurers, the places of
// every city and the doctors in them. It has the same size in every world, so that the patients
// of a small world are the first ones of a larger one.
const (
	ownInsurer      = 0 // the payer that runs this server
	doctorsPerCity  = 20
	placesPerCity   = 5
	primaryCare     = 5 // the first of a city's doctors, for adults
	pediatrics      = 5
	cardiology      = 8
	orthopedics     = 10
	emergencyDoctor = 11
	hospitalist     = 12
	obstetrics      = 13
	surgery         = 14
	radiology       = 16
	dentistry       = 17
	optometry       = 18
	pharmacist      = 19
)

// A city's places, in this order.
const (
	hospital = iota
	clinic
	pharmacy
	dentalOffice
	opticalShop
)

type insurer struct {
	name, source string
	prefix       string // of its member numbers
	naic         int
}

var insurers = [...]insurer{
	{"Bison Plains Health Plan", "https://fhir.bisonplains.example/r4", "BP", 99101},
	{"Tallgrass Mutual", "https://api.tallgrass.example/fhir", "TG", 99102},
	{"Harbor & Vale Benefit", "https://interop.harborvale.example/r4", "HV", 99103},
	{"Copperleaf Care", "https://p2p.copperleaf.example/fhir/r4", "CL", 99104},
	{"Umberfield Assurance", "https://fhir.umberfield.example", "UF", 99105},
	{"Quartzline Health", "https://data.quartzline.example/r4", "QZ", 99106},
}

var placeForms = [placesPerCity]struct {
	suffix string
	typ    code // of the Location
}{
	{" Regional Hospital", code{hl7 + "v3-RoleCode", "HOSP", "Hospital"}},
	{" Family Clinic", code{hl7 + "v3-RoleCode", "OF", "Outpatient facility"}},
	{" Corner Pharmacy", code{hl7 + "v3-RoleCode", "PHARM", "Pharmacy"}},
	{" Dental Arts", code{hl7 + "v3-RoleCode", "DENT", "Dental clinic"}},
	{" Eye & Lens", code{hl7 + "v3-RoleCode", "OPHTH", "Ophthalmology clinic"}},
}

var specialties = [doctorsPerCity]code{
	{sysTaxonomy, "207Q00000X", "Family Medicine Physician"},
	{sysTaxonomy, "207Q00000X", "Family Medicine Physician"},
	{sysTaxonomy, "207Q00000X", "Family Medicine Physician"},
	{sysTaxonomy, "207R00000X", "Internal Medicine Physician"},
	{sysTaxonomy, "207R00000X", "Internal Medicine Physician"},
	{sysTaxonomy, "208000000X", "Pediatrics Physician"},
	{sysTaxonomy, "363LF0000X", "Family Nurse Practitioner"},
	{sysTaxonomy, "207RE0101X", "Endocrinology Physician"},
	{sysTaxonomy, "207RC0000X", "Cardiovascular Disease Physician"},
	{sysTaxonomy, "2084P0800X", "Psychiatry Physician"},
	{sysTaxonomy, "207X00000X", "Orthopaedic Surgery Physician"},
	{sysTaxonomy, "207P00000X", "Emergency Medicine Physician"},
	{sysTaxonomy, "208M00000X", "Hospitalist Physician"},
	{sysTaxonomy, "207V00000X", "Obstetrics and Gynecology Physician"},
	{sysTaxonomy, "208600000X", "Surgery Physician"},
	{sysTaxonomy, "207RP1001X", "Pulmonary Disease Physician"},
	{sysTaxonomy, "2085R0202X", "Diagnostic Radiology Physician"},
	{sysTaxonomy, "122300000X", "Dentist"},
	{sysTaxonomy, "152W00000X", "Optometrist"},
	{sysTaxonomy, "183500000X", "Pharmacist"},
}

// A doctor is a practitioner of the directory.
type doctor struct {
	given, family, display string
	female                 bool
	npi                    string
	zip, phone, house      int
}

const (
	doctors       = len(cities) * doctorsPerCity
	places        = len(cities) * placesPerCity
	organizations = len(insurers) + places
)

// organizationOf returns the organization that runs a place.
func organizationOf(place int) id { return shared(organization, len(insurers)+place) }

func (w *World) fillDirectory() {
	for _, start := range familyStarts {
		for _, end := range familyEnds {
			w.families = append(w.families, start+end)
		}
	}
	for i, c := range cities {
		for k := range placesPerCity {
			w.places[i*placesPerCity+k] = c.name + placeForms[k].suffix
		}
	}
	var r dice
	for i := range doctors {
		r.throw(w.seed, streamDirectory, i, 0)
		doc := doctor{female: r.chance(480), family: w.family(&r), given: boys[r.below(len(boys))]}
		if doc.female {
			doc.given = girls[r.below(len(girls))]
		}
		doc.display = "Dr. " + doc.given + " " + doc.family
		doc.npi = npi(i)
		doc.zip, doc.phone, doc.house = r.between(1, 60), r.between(100, 199), r.between(1, 980)
		w.doctors[i] = doc
	}
}

// npi returns the n-th National Provider Identifier of an unassigned range: ten digits with the
// check digit of ISO 7812 over the prefix 80840.
func npi(n int) string {
	base := int64(999_990_000 + n)
	sum := int64(24) // for the prefix 80840
	for i, rest := 0, base; rest > 0; i, rest = i+1, rest/10 {
		digit := rest % 10
		if i%2 == 0 {
			digit = digit*2/10 + digit*2%10
		}
		sum += digit
	}
	return strconv.FormatInt(base*10+(10-sum%10)%10, 10)
}
