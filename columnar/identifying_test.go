package columnar

import (
	"regexp"
	"strings"
	"testing"

	"fhirkiln/fhir"
)

// No footer tells when people were born or died. Of all columns of R4 whose names suggest it, only
// the harmless ones have bounds.
func TestDatesOfLifeHaveNoBounds(t *testing.T) {
	t.Parallel()
	harmless := map[string]bool{
		"MedicinalProductAuthorization.__internationalBirthDate_start": true, // of a product
		"Patient.multipleBirthInteger":                                 true, // which of the twins
	}
	ofLife := regexp.MustCompile(`(?i)born|birth|deceas|death`)
	found := map[string]bool{}
	for _, name := range fhir.R4().ResourceTypes() {
		for _, f := range LayoutOf(name).columns {
			path := name + "." + f.Path()
			if !ofLife.MatchString(f.Path()) {
				continue
			}
			found[path] = true
			if f.bounded(false) != harmless[path] {
				t.Errorf("that %s has bounds is %v", path, f.bounded(false))
			}
			if !f.bounded(true) && f.Type != Boolean && f.Type != String {
				t.Errorf("%s has no bounds where they are asked for", path)
			}
		}
	}
	for _, path := range []string{
		"FamilyMemberHistory.__bornDate_start", "FamilyMemberHistory.bornPeriod.__start_start", "FamilyMemberHistory.__deceasedDate_start",
		"FamilyMemberHistory.deceasedAge.value", "Patient.__birthDate_start", "Patient.__deceasedDateTime_start",
		"Person.__birthDate_start", "Practitioner.__birthDate_start", "RelatedPerson.__birthDate_start",
	} {
		if !found[path] {
			t.Errorf("there is no %s: the test covers too little", path)
		}
	}
}

// Nor do footers tell who people are or where they live, in columns with other names.
func TestIdentifyingColumns(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"FamilyMemberHistory.ageAge.value": true, "FamilyMemberHistory.ageRange.low.value": true,
		"Location.position.latitude": true, "Location.address.period.__start_start": true,
		"Bundle.entry.fullUrl": true, "Bundle.entry.request.url": true, "Bundle.entry.response.location": true, "Bundle.link.url": true,
		"Claim.patient.identifier.system": true, "Account.identifier.period.__start_start": true, "Organization.contact.telecom.rank": true,
		"Condition.onsetAge.value": false, "Encounter.period.__start_start": false, "Patient.gender": false, "Bundle.entry.request.method": false,
	} {
		name, _, _ := strings.Cut(path, ".")
		var field *Field
		for _, f := range LayoutOf(name).columns {
			if name+"."+f.Path() == path {
				field = f
			}
		}
		if field == nil {
			t.Errorf("there is no %s", path)
		} else if field.identifies() != want || !want && !field.bounded(false) {
			t.Errorf("that %s identifies people is %v", path, !want)
		}
	}
}
