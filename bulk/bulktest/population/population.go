// Package population makes the people whose data a Bulk Data test server
// serves: a payer's members with what such a payer holds of them, synthetic and
// the same for the same seed.
//
//	world := population.New(population.Options{Seed: 1, Patients: 1000})
//	server, err := bulktest.NewServer(bulktest.Options{Data: world})
//
// A world holds the resource types of Payer-to-Payer exchange: Patient,
// Coverage, Claim, ExplanationOfBenefit (with amounts for the payer's own
// claims, CARIN's Basis profiles without them for those that came along from
// another payer, and PDex prior authorizations), Encounter, Condition,
// Observation, DiagnosticReport, MedicationRequest, Procedure, Immunization,
// AllergyIntolerance, DocumentReference, Provenance, Group, and the
// Practitioner, PractitionerRole, Organization and Location that they refer to.
// Every reference resolves within the world, totals are the sums of their items,
// and the oddities that real exports have are there too: partial dates, other
// time zones, decimals with trailing zeros, nulls with extensions beside them,
// contained resources, missing meta, names beyond ASCII.
//
// Nothing is kept in memory: a resource follows from the seed and the number of
// its patient alone, so any file can be read by itself, at any time and by many
// readers at once, and a file of patient 900,000 takes as long to open as that
// of patient 0. A patient has about 120 KB of NDJSON on average, 50 of it
// ExplanationOfBenefit, 25 Observation and 20 Claim; half of the patients have
// less than 100, the sickest some 900. One core writes several hundred MB/s.
//
// The people are nobody: names are drawn from made-up lists, phone numbers are
// of the range set aside for fiction, NPIs and NDCs of ranges that are not
// assigned, payers' addresses end in .example.
package population

import (
	"fmt"
	"io"
	"sync"
	"time"

	"fhirkiln/bulk/bulktest"
)

// Options say which world. Two worlds of the same options have the same bytes,
// whatever the machine and the version of Go.
type Options struct {
	// Seed makes one world unlike another.
	Seed uint64

	// Patients is how many people there are; 0 means 100. The first of them are the
	// same in a world of any size, except that Groups have other members.
	Patients int

	// PatientsPerFile is how many patients share an output file of each type;
	// 0 means 2000, which gives a world of 100 patients a file for each type, and
	// one of 100,000 some 700 files of up to 100 MB. The resources do not depend
	// on it.
	PatientsPerFile int

	// End is the world's present, at which its data ends; nothing was last updated
	// after it. The zero time means DefaultEnd. Fractions of a second are dropped.
	End time.Time
}

// DefaultEnd is the present of a world that was not given any. It is fixed, and
// not the clock's, so that a seed is all that a golden file has to remember.
var DefaultEnd = time.Date(2026, time.July, 1, 0, 0, 0, 0, time.UTC)

// A World is a population. It is safe for use by several goroutines.
type World struct {
	seed     uint64
	patients int
	perFile  int
	end      moment
	today    day // the day that end is on, which has not happened yet

	families []string
	doctors  [doctors]doctor
	places   [places]string

	once  sync.Once
	files []bulktest.File
}

var _ bulktest.Data = (*World)(nil)

// New makes a world. It takes no time: people are made when they are read.
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

// Files lists the world's output files, type by type and those of a type by
// patient, leaving out the empty ones. The first call counts the resources of
// every patient, which takes some 3 microseconds for each; the list is the same
// ever after and must not be changed.
func (w *World) Files() []bulktest.File {
	w.once.Do(func() { w.files = w.list() })
	return w.files
}

func (w *World) list() []bulktest.File {
	var counts [][kinds]int // by file
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

// Open reads the resources of one type that belong to the patients numbered
// from <= n < to, as NDJSON. It needs neither Files nor any other patient. Of
// the types that belong to nobody (Organization, Location, Practitioner,
// PractitionerRole, Group) it reads all. It fails if the world has no such type
// or no such patients.
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

// ofPatients is whether each resource of a type belongs to one patient.
func (k kind) ofPatients() bool { return k < practitioner }

// units is into how many steps the writing of all resources of a type falls:
// patients, or, of what is shared, resources.
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
