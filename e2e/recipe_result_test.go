//go:build cgo

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recipeResults computes, for each query of the page, its result from NDJSON.
func recipeResults() map[string]func(recipeData) [][]string {
	return map[string]func(recipeData) [][]string{
		"Race 1":                          races,
		"Coverage spans 1":                coverageSpans,
		"Coverage spans 2":                coveragesLeftOut,
		"Active prior authorizations 1":   activeAuthorizations,
		"Active prior authorizations 2":   authorizationDecisions,
		"Services by date 1":              servicesByMonth,
		"Paid amounts by year 1":          paidByYear,
		"Paid amounts by year 2":          adjudicatedByYear,
		"Replaced claims 1":               replacedClaims,
		"One person at several payers 1":  sharedNumbers,
		"One member's resources 1":        resourcesOfOne,
		"Latest weight 1":                 latestWeights,
		"Answers of a questionnaire 1":    answers,
		"Extensions by url 1":             extensionCounts,
		"Extensions by url 2":             birthSexes,
		"Following a reference 1":         providers,
		"Members without a column 1":      unknownMembers,
		"Members without a column 2":      tiers,
		"Decimals as they were written 1": decimals,
		"Partial dates 1":                 bornBeforeJuly1960,
		"DuckDB 1":                        typeCounts,
	}
}

const usCore = "http://hl7.org/fhir/us/core/StructureDefinition/"

type patient struct {
	BirthDate string
	Extension []extension
}

func races(d recipeData) (rows [][]string) {
	each(d, "Patient", func(key sourceID, p patient) {
		for _, race := range p.Extension {
			for _, e := range race.Extension {
				if race.URL == usCore+"us-core-race" && e.URL == "ombCategory" {
					rows = append(rows, []string{key.source, key.id, e.ValueCoding.Code, orNull(e.ValueCoding.Display)})
				}
			}
		}
	})
	return rows
}

func birthSexes(d recipeData) (rows [][]string) {
	each(d, "Patient", func(key sourceID, p patient) {
		sex := ""
		for _, e := range p.Extension {
			if e.URL == usCore+"us-core-birthsex" {
				sex = e.ValueCode
			}
		}
		rows = append(rows, []string{key.source, key.id, orNull(sex)})
	})
	return rows
}

func bornBeforeJuly1960(d recipeData) (rows [][]string) {
	limit := time.Date(1960, time.July, 1, 0, 0, 0, 0, time.UTC)
	each(d, "Patient", func(key sourceID, p patient) {
		if start, end := span(p.BirthDate); !start.IsZero() && start.Before(limit) {
			rows = append(rows, []string{key.source, key.id, p.BirthDate, strconv.Itoa(len(p.BirthDate)), strconv.FormatBool(!end.After(limit))})
		}
	})
	return rows
}

type coverage struct {
	Status      string
	Beneficiary reference
	Period      period
}

// isSpan reports whether a coverage says whom it covers, from when to when.
func (c coverage) isSpan() (member string, from, to time.Time, ok bool) {
	_, member = target(c.Beneficiary.Reference)
	from, to, ok = c.Period.times()
	return member, from, to, ok && member != "" && from.Before(to)
}

func coverageSpans(d recipeData) (rows [][]string) {
	type covered struct{ from, to time.Time }
	members := map[sourceID][]covered{}
	each(d, "Coverage", func(key sourceID, c coverage) {
		id, from, to, ok := c.isSpan()
		if c.Status != "active" && c.Status != "cancelled" || !ok {
			return
		}
		member := sourceID{key.source, id}
		members[member] = append(members[member], covered{from, to})
	})
	for member, spans := range members {
		slices.SortFunc(spans, func(a, b covered) int { return a.from.Compare(b.from) })
		merged := spans[:1]
		for _, s := range spans[1:] {
			if last := &merged[len(merged)-1]; !s.from.After(last.to) {
				last.to = slices.MaxFunc([]time.Time{last.to, s.to}, time.Time.Compare)
			} else {
				merged = append(merged, s)
			}
		}
		for _, s := range merged {
			first, last := day(s.from), day(s.to.AddDate(0, 0, -1))
			if s.from.Equal(always) {
				first = "NULL"
			}
			if s.to.Equal(forever) {
				last = "NULL"
			}
			rows = append(rows, []string{member.source, member.id, first, last})
		}
	}
	return rows
}

func coveragesLeftOut(d recipeData) (rows [][]string) {
	each(d, "Coverage", func(key sourceID, c coverage) {
		if _, _, _, ok := c.isSpan(); !ok && (c.Status == "active" || c.Status == "cancelled") {
			rows = append(rows, []string{key.source, key.id, orNull(c.Beneficiary.Reference), orNull(c.Beneficiary.Identifier.Value),
				orNull(c.Period.Start), orNull(c.Period.End)})
		}
	})
	return rows
}

type weight struct {
	Status                              string
	Code                                concept
	Subject                             reference
	EffectiveDateTime, EffectiveInstant string
	EffectivePeriod                     period
	ValueQuantity                       quantity
}

func latestWeights(d recipeData) (rows [][]string) {
	type taken struct {
		at time.Time
		kg string
	}
	latest := map[sourceID]taken{}
	each(d, "Observation", func(key sourceID, w weight) {
		isWeight := slices.ContainsFunc(w.Code.Coding, func(c coding) bool { return c.System == "http://loinc.org" && c.Code == "29463-7" })
		if !isWeight || w.Status == "entered-in-error" || w.Status == "cancelled" || w.ValueQuantity.Value == "" {
			return
		}
		value, _ := strconv.ParseFloat(string(w.ValueQuantity.Value), 64)
		kg := "NULL"
		if factor := map[string]float64{"kg": 1, "g": 0.001, "[lb_av]": 0.45359237}[w.ValueQuantity.Code]; factor > 0 {
			kg = strconv.FormatFloat(factor*value, 'f', -1, 64)
			if !strings.Contains(kg, ".") {
				kg += ".0"
			}
		}
		_, id := target(w.Subject.Reference)
		if id == "" {
			return
		}
		member := sourceID{key.source, id}
		at := firstStart(w.EffectiveDateTime, w.EffectiveInstant, w.EffectivePeriod.Start)
		if before, ok := latest[member]; !ok || at.After(before.at) { // of two at the same time, the one with the lower id, which comes first
			latest[member] = taken{at, kg}
		}
	})
	for member, w := range latest {
		rows = append(rows, []string{member.source, member.id, timestamp(w.at), w.kg})
	}
	return rows
}

func decimals(d recipeData) (rows [][]string) {
	each(d, "Observation", func(key sourceID, o struct{ ValueQuantity quantity }) {
		if o.ValueQuantity.Value != "" {
			rows = append(rows, []string{key.source, key.id, decimal(o.ValueQuantity.Value), string(o.ValueQuantity.Value), orNull(o.ValueQuantity.Unit)})
		}
	})
	return rows
}

// decimal formats a number like DECIMAL(38, 9).
func decimal(lexeme json.Number) string {
	if lexeme == "" {
		return "NULL"
	}
	n, _ := new(big.Rat).SetString(string(lexeme))
	text := n.FloatString(9)
	switch {
	case len(strings.Trim(text, "-")) > 29+1+9:
		return "NULL"
	case strings.Trim(text, "-0.") == "":
		return "0.000000000"
	}
	return text
}

func typeCounts(d recipeData) (rows [][]string) {
	for typ, resources := range d {
		rows = append(rows, []string{typ, strconv.Itoa(len(resources))})
	}
	return rows
}

// sum adds amounts exactly.
type sum struct {
	lines, amounts int
	total          big.Rat
}

func (s *sum) add(amount json.Number) {
	s.lines++
	if n, ok := new(big.Rat).SetString(string(amount)); ok {
		s.amounts++
		s.total.Add(&s.total, n)
	}
}

func (s *sum) text() string {
	if s.amounts == 0 {
		return "NULL"
	}
	return s.total.FloatString(2)
}

// year returns a time's year as text.
func year(t time.Time) string {
	if t.IsZero() {
		return "NULL"
	}
	return fmt.Sprint(t.Year())
}

// sumRows returns the sums of a grouping, each after its keys.
func sumRows(sums map[[4]string]*sum, row func(key [4]string, s *sum) []string) (rows [][]string) {
	for _, key := range slices.SortedFunc(maps.Keys(sums), func(a, b [4]string) int { return slices.Compare(a[:], b[:]) }) {
		rows = append(rows, row(key, sums[key]))
	}
	return rows
}
