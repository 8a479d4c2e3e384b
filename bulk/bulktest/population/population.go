// Package population generates the data of a Bulk Data test server: a payer's members with what
// such a payer knows about them, synthetic and reproducible from a seed.
//
//	world := population.New(population.Options{Seed: 1, Patients: 1000})
//	server, err := bulktest.NewServer(bulktest.Options{Data: world})
//
// A world has the resource types of Payer-to-Payer exchange: Patient, Coverage, Claim,
// ExplanationOfBenefit (with amounts for the payer's own claims, in CARIN's Basis profiles
// without amounts for claims transferred from another payer, and PDex prior authorizations),
// Encounter, Condition, Observation, DiagnosticReport, MedicationRequest, Procedure,
// Immunization, AllergyIntolerance, DocumentReference, Provenance, Group, and the Practitioner,
// PractitionerRole, Organization and Location that they refer to. Every reference resolves
// within the world, totals are the sums of their items, and there are the oddities of real
// exports: partial dates, other time zones, decimals with trailing zeros, nulls with extensions
// beside them, contained resources, missing meta, names beyond ASCII.
//
// Nothing is kept in memory: a resource depends only on the seed and the number of its patient.
// So any file can be read by itself, at any time and by many readers at once, and opening a file
// of patient 900,000 takes as long as one of patient 0. A patient has about 120 KB of NDJSON on
// average, 50 of it ExplanationOfBenefit, 25 Observation and 20 Claim; half of the patients have
// less than 100, the sickest some 900. One core writes several hundred MB/s.
//
// The people do not exist: names are drawn from made-up lists, phone numbers are from the range
// reserved for fiction, NPIs and NDCs from unassigned ranges, and payers' addresses end in
// .example.
package population

import (
	"fmt"
	"io"
	"sync"
	"time"

	"fhirkiln/bulk/bulktest"
)

// Options select a world. Two worlds with the same options have the same bytes, whatever the
// machine and the version of Go.
type Options struct {
	// Seed distinguishes worlds.
	Seed uint64

	// Patients is the number of people; 0 means 100. The first ones are the same in a world
	// of any size, except that Groups have other members.
	Patients int

	// PatientsPerFile is how many patients share an output file of each type; 0 means 2000.
	// With 2000, a world of 100 patients has one file for each type, and one of 100,000 has
	// some 700 files of up to 100 MB. The resources do not depend on it.
	PatientsPerFile int

	// End is the world's present, where its data ends: nothing was last updated after it.
	// The zero time means DefaultEnd. Fractions of a second are dropped.
	End time.Time
}

// DefaultEnd is the default present of a world. It is fixed rather than taken from the clock, so
// that a golden file only depends on a seed.
var DefaultEnd = time.Date(2026, time.July, 1, 0, 0, 0, 0, time.UTC)

// A World is a population. It is safe for concurrent use.
type World struct {
	seed     uint64
	patients int
	perFile  int
	end      moment
	today    day // the day of end, which has not happened yet

	families []string
	doctors  [doctors]doctor
	places   [places]string

	once  sync.Once
	files []bulktest.File
}

var _ bulktest.Data = (*World)(nil)

// New returns a world. It takes no time: people are generated when they are read.
func New(o Options) *World {
	w := &World{seed: o.Seed, patients: o.Patients, perFile: o.PatientsPerFile}
	if w.patients <= 0 {
		w.patients = 100
	}
	if w.perFile <= 0 {
		w.perFile = 2000
	}
	if o.End.IsZero() {
		o.End = DefaultEnd
	}
	w.end = moment(o.End.Unix())
	w.today = w.end.date()
	w.fillDirectory()
	return w
}

// Files returns the world's non-empty output files, by type, then by patient. The first call
// counts the resources of every patient, which takes some 3 microseconds each. Later calls return
// the same list, which must not be changed.
func (w *World) Files() []bulktest.File {
	w.once.Do(func() { w.files = w.list() })
	return w.files
}

func (w *World) list() []bulktest.File {
	var counts [][kinds]int // per file
	var l life
	for p := range w.patients {
		if p%w.perFile == 0 {
			counts = append(counts, [kinds]int{})
		}
		l.live(w, p)
		sum := &counts[len(counts)-1]
		for k, n := range l.counts {
			sum[k] += n
		}
	}
	var files []bulktest.File
	for k := range kinds {
		if !k.ofPatients() {
			files = append(files, w.file(k, 0, w.units(k), w.units(k)))
			continue
		}
		for i := range counts {
			if n := counts[i][k]; n > 0 {
				from := i * w.perFile
				files = append(files, w.file(k, from, min(from+w.perFile, w.patients), n))
			}
		}
	}
	return files
}

func (w *World) file(k kind, from, to, count int) bulktest.File {
	return bulktest.File{
		Type:  k.String(),
		Count: count,
		Open:  func() (io.ReadCloser, error) { return newReader(w, k, from, to), nil },
	}
}

// Open returns a reader of the resources of one type that belong to the patients numbered
// from <= n < to, as NDJSON. It needs neither Files nor any other patient. For types that belong
// to no patient (Organization, Location, Practitioner, PractitionerRole, Group) it reads all
// resources. It fails if the world has no such type or no such patients.
func (w *World) Open(resourceType string, from, to int) (io.ReadCloser, error) {
	for k := range kinds {
		switch {
		case k.String() != resourceType:
		case !k.ofPatients():
			return newReader(w, k, 0, w.units(k)), nil
		case from < 0 || to > w.patients || from > to:
			return nil, fmt.Errorf("opening %s of patients %d to %d: the world has %d", resourceType, from, to, w.patients)
		default:
			return newReader(w, k, from, to), nil
		}
	}
	return nil, fmt.Errorf("opening %s: the world has no such resource type", resourceType)
}

// ofPatients reports whether each resource of a type belongs to one patient.
func (k kind) ofPatients() bool { return k < practitioner }

// units returns the number of steps for writing all resources of a type: one per patient, or one
// per resource for shared types.
func (w *World) units(k kind) int {
	switch k {
	case practitioner, practitionerRole:
		return doctors
	case organization:
		return organizations
	case location:
		return places
	case group:
		return (w.patients + groupSize - 1) / groupSize
	}
	return w.patients
}
