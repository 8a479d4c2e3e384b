package bulktest

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// dateElements returns the elements that a date parameter searches, or nil if it is not a date
// parameter.
func dateElements(typ, param string) []string {
	switch typ + " " + param {
	case "AllergyIntolerance date", "Condition recorded-date":
		return []string{"recordedDate"}
	case "CarePlan date", "CareTeam date", "Encounter date":
		return []string{"period"}
	case "Claim created", "ExplanationOfBenefit created":
		return []string{"created"}
	case "Claim service-date", "ExplanationOfBenefit service-date":
		return []string{"billablePeriod"}
	case "Condition onset-date":
		return []string{"onsetDateTime", "onsetPeriod"}
	case "DiagnosticReport date", "Observation date":
		return []string{"effectiveDateTime", "effectivePeriod", "effectiveInstant"}
	case "DocumentReference date":
		return []string{"date"}
	case "Goal start-date":
		return []string{"startDate"}
	case "Immunization date":
		return []string{"occurrenceDateTime"}
	case "MedicationRequest authoredon", "ServiceRequest authored":
		return []string{"authoredOn"}
	case "Patient birthdate":
		return []string{"birthDate"}
	case "Procedure date":
		return []string{"performedDateTime", "performedPeriod"}
	case "Provenance recorded":
		return []string{"recorded"}
	}
	if param == "_lastUpdated" {
		return []string{"meta.lastUpdated"}
	}
	return nil
}

// interval is the time that a partial date names. It includes start and excludes end; a zero
// time is no bound.
type interval struct{ start, end time.Time }

// parseInterval parses FHIR's date, dateTime and instant. A time without a zone is UTC.
func parseInterval(s string) (interval, error) {
	for _, p := range []struct {
		layout              string
		years, months, days int
		length              time.Duration
	}{
		{layout: "2006", years: 1},
		{layout: "2006-01", months: 1},
		{layout: time.DateOnly, days: 1},
		{layout: "2006-01-02T15:04", length: time.Minute},
		{layout: "2006-01-02T15:04Z07:00", length: time.Minute},
		{layout: "2006-01-02T15:04:05", length: time.Second},
		{layout: time.RFC3339, length: time.Second},
	} {
		if t, err := time.Parse(p.layout, s); err == nil {
			if t.Nanosecond() != 0 {
				p.length = 1 // has a fraction of a second
			}
			return interval{t, t.AddDate(p.years, p.months, p.days).Add(p.length)}, nil
		}
	}
	return interval{}, fmt.Errorf("not a date: %s", s)
}

// period returns the interval of a date or a Period, or false if there is none.
func period(v jsontext.Value) (i interval, ok bool) {
	if v.Kind() == '"' {
		i, err := parseInterval(text(v))
		return i, err == nil
	}
	err := eachMember(v, func(name string, v jsontext.Value) error {
		part, err := parseInterval(text(v))
		switch {
		case err != nil:
		case name == "start":
			i.start, ok = part.start, true
		case name == "end":
			i.end, ok = part.end, true
		}
		return nil //nolint:nilerr // an invalid date is no bound
	})
	return i, ok && err == nil
}

// dateClause compares dates like FHIR search, by the intervals that both sides name.
func dateClause(paths, values []string) (clause, error) {
	type comparison struct {
		prefix string
		with   interval
	}
	var comparisons []comparison
	for _, value := range values {
		prefix, date := "eq", value
		if len(value) > 2 && strings.Trim(value[:2], letters) == "" {
			prefix, date = value[:2], value[2:]
		}
		with, err := parseInterval(date)
		if err != nil {
			return nil, err
		}
		if !strings.Contains(" eq gt ge lt le ", " "+prefix+" ") {
			return nil, fmt.Errorf("the prefix %s is not supported", prefix)
		}
		comparisons = append(comparisons, comparison{prefix, with})
	}
	return func(line []byte) (found bool, err error) {
		for _, path := range paths {
			err := lookup(line, strings.Split(path, "."), func(v jsontext.Value) error {
				target, ok := period(v)
				for _, c := range comparisons {
					found = found || ok && target.compares(c.prefix, c.with)
				}
				return nil
			})
			if found || err != nil {
				return found, err
			}
		}
		return false, nil
	}, nil
}

// compares reports whether i, from a resource, relates to the asked interval as prefix requires.
func (i interval) compares(prefix string, asked interval) bool {
	startsBefore := func(t time.Time) bool { return i.start.IsZero() || i.start.Before(t) }
	endsAfter := func(t time.Time) bool { return i.end.IsZero() || i.end.After(t) }
	switch prefix {
	case "gt":
		return endsAfter(asked.end)
	case "ge":
		return endsAfter(asked.start)
	case "lt":
		return startsBefore(asked.start)
	case "le":
		return startsBefore(asked.end)
	default:
		return !startsBefore(asked.start) && !endsAfter(asked.end)
	}
}
