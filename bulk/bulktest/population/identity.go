package population

import "strconv"

// A kind is a resource type of the world.
type kind uint8

const (
	patient kind = iota
	coverage
	claim
	benefit // ExplanationOfBenefit
	encounter
	condition
	observation
	diagnosticReport
	medicationRequest
	procedure
	immunization
	allergy
	document
	provenance
	practitioner
	practitionerRole
	organization
	location
	group
	kinds
)

// idForms has the name of each kind and the form of its ids: a prefix and a number, or a UUID if
// the prefix is empty. Servers differ in this, and so do the types of one server. Numbers do not
// depend on the seed, so ids of two worlds collide like those of two payers.
var idForms = [kinds]struct{ name, prefix string }{
	patient:           {"Patient", ""},
	coverage:          {"Coverage", "cov-"},
	claim:             {"Claim", "clm-"},
	benefit:           {"ExplanationOfBenefit", "eob."},
	encounter:         {"Encounter", "enc-"},
	condition:         {"Condition", ""},
	observation:       {"Observation", ""},
	diagnosticReport:  {"DiagnosticReport", "lab-"},
	medicationRequest: {"MedicationRequest", "rx-"},
	procedure:         {"Procedure", ""},
	immunization:      {"Immunization", ""},
	allergy:           {"AllergyIntolerance", "alg-"},
	document:          {"DocumentReference", ""},
	provenance:        {"Provenance", "prv-"},
	practitioner:      {"Practitioner", "prac-"},
	practitionerRole:  {"PractitionerRole", ""},
	organization:      {"Organization", "org-"},
	location:          {"Location", "loc-"},
	group:             {"Group", "members-"},
}

func (k kind) String() string { return idForms[k].name }

// perPatient bounds a patient's resources of one type: a numbered id is patient*perPatient + n.
const perPatient = 1000

// An id identifies a resource of the world: the n-th of a kind that belongs to a patient. For
// shared resources, n is the index in the directory, and there is no patient. References are
// computed from ids, so that a file can be written without the files it refers to.
type id struct {
	kind    kind
	patient int
	n       int
}

func shared(k kind, n int) id { return id{kind: k, n: n} }

func (i id) luck(seed uint64) luck {
	return luck(mix(seed ^ mix(uint64(i.kind)<<56|uint64(i.patient)<<16|uint64(i.n))))
}

func (d *doc) addID(i id) {
	prefix := idForms[i.kind].prefix
	if prefix == "" {
		d.addUUID(uint64(i.luck(d.seed)))
		return
	}
	d.b = append(d.b, prefix...)
	n := i.n + 1
	if i.kind < practitioner {
		n = 100_000_000 + i.patient*perPatient + i.n
	}
	d.b = strconv.AppendInt(d.b, int64(n), 10)
}

// addUUID adds a version 4 UUID; hi is unique in the world.
func (d *doc) addUUID(hi uint64) {
	const hex = "0123456789abcdef"
	lo := mix(hi)&^(3<<62) | 2<<62
	hi = hi&^0xf000 | 0x4000
	for i := range 16 {
		if i == 8 || i == 12 {
			d.b = append(d.b, '-')
		}
		d.b = append(d.b, hex[hi>>(60-4*i)&15])
	}
	for i := range 16 {
		if i == 0 || i == 4 {
			d.b = append(d.b, '-')
		}
		d.b = append(d.b, hex[lo>>(60-4*i)&15])
	}
}

// resource starts a line. Everything up to the matching done belongs to it.
func (d *doc) resource(i id) luck {
	d.b = append(d.b, `{"resourceType":"`...)
	d.b = append(d.b, i.kind.String()...)
	d.b = append(d.b, `","id":"`...)
	d.addID(i)
	d.b = append(d.b, '"')
	d.ends = append(d.ends[:0], '}')
	return i.luck(d.seed)
}

// done ends a line.
func (d *doc) done() {
	d.end()
	d.b = append(d.b, '\n')
}

// ref writes a Reference under a key, refItem one inside an array.
func (d *doc) ref(name string, to id) {
	d.obj(name)
	d.reference(to)
	d.end()
}

func (d *doc) refItem(to id) {
	d.item()
	d.reference(to)
	d.end()
}

func (d *doc) reference(to id) {
	d.open("reference")
	d.b = append(d.b, to.kind.String()...)
	d.b = append(d.b, '/')
	d.addID(to)
	d.shut()
}

// A stamp says when a resource last changed on its server, and how often it had changed.
type stamp struct {
	at      moment
	version int
	source  string // URL of the payer that it came from, or empty
}

// meta writes Resource.meta, which is optional in the Bulk Data IG, so a few resources have
// none. An empty profile is omitted.
func (d *doc) meta(l luck, s stamp, profile string) {
	if l.oneIn(1, 60) {
		return
	}
	d.obj("meta")
	d.open("versionId")
	d.addInt(s.version)
	d.shut()
	d.open("lastUpdated")
	d.b = appendTime(d.b, s.at, l.upTo(2, 1000), zulu)
	d.shut()
	if s.source != "" {
		d.str("source", s.source)
	}
	if profile != "" {
		d.arr("profile")
		d.value(profile)
		d.end()
	}
	if l.oneIn(3, 80) {
		d.arr("security")
		d.codingItem(restricted)
		d.end()
	}
	d.end()
}
