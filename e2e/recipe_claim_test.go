//go:build cgo

package e2e

import (
	"fmt"
	"strconv"
	"time"
)

// benefit is an ExplanationOfBenefit.
type benefit struct {
	Status, Use       string
	Patient, Provider reference
	Created           string
	BillablePeriod    period
	PreAuthRef        []string
	PreAuthRefPeriod  []period
	Item              []struct {
		ServicedDate   string
		ServicedPeriod period
		Adjudication   []struct {
			Category  concept
			Amount    quantity
			Extension []extension
		}
	}
	Payment struct{ Amount quantity }
}

func activeAuthorizations(d recipeData) (rows [][]string) {
	at := time.Date(2026, 5, 15, 0, 0, 0, 0, time.UTC)
	each(d, "ExplanationOfBenefit", func(key sourceID, b benefit) {
		if b.Use != "preauthorization" || b.Status != "active" {
			return
		}
		for _, p := range b.PreAuthRefPeriod {
			if since, until, ok := p.times(); !ok || since.After(at) || !until.After(at) {
				continue
			}
			number := ""
			if len(b.PreAuthRef) > 0 {
				number = b.PreAuthRef[0]
			}
			_, member := target(b.Patient.Reference)
			rows = append(rows, []string{key.source, member, key.id, orNull(number), orNull(p.Start), orNull(p.End)})
		}
	})
	return rows
}

func authorizationDecisions(d recipeData) (rows [][]string) {
	const pdex = "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/"
	each(d, "ExplanationOfBenefit", func(key sourceID, b benefit) {
		for i, line := range b.Item {
			for n, a := range line.Adjudication {
				for _, action := range a.Extension {
					for _, e := range action.Extension {
						if b.Use == "preauthorization" && action.URL == pdex+"extension-reviewAction" && e.URL == pdex+"extension-reviewActionCode" {
							c := e.ValueCodeableConcept.Coding[0]
							rows = append(rows, []string{key.source, key.id, fmt.Sprintf("item[%d].adjudication[%d]", i, n), c.Code, c.Display})
						}
					}
				}
			}
		}
	})
	return rows
}

func servicesByMonth(d recipeData) (rows [][]string) {
	services, members := map[[2]string]int{}, map[[2]string]map[string]bool{}
	each(d, "ExplanationOfBenefit", func(key sourceID, b benefit) {
		if b.Use != "claim" || b.Status != "active" {
			return
		}
		for _, i := range b.Item {
			month := "NULL"
			if at := firstStart(i.ServicedDate, i.ServicedPeriod.Start, b.BillablePeriod.Start); !at.IsZero() {
				month = at.Format("2006-01-02")[:8] + "01"
			}
			group := [2]string{key.source, month}
			services[group]++
			if members[group] == nil {
				members[group] = map[string]bool{}
			}
			_, member := target(b.Patient.Reference)
			members[group][member] = true
		}
	})
	for group, n := range services {
		rows = append(rows, []string{group[0], group[1], strconv.Itoa(n), strconv.Itoa(len(members[group]))})
	}
	return rows
}

func paidByYear(d recipeData) [][]string {
	sums := map[[4]string]*sum{}
	each(d, "ExplanationOfBenefit", func(key sourceID, b benefit) {
		if b.Use != "claim" || b.Status != "active" {
			return
		}
		group := [4]string{key.source, year(firstStart(b.BillablePeriod.Start, b.Created)), orNull(b.Payment.Amount.Currency)}
		if sums[group] == nil {
			sums[group] = new(sum)
		}
		sums[group].add(b.Payment.Amount.Value)
	})
	return sumRows(sums, func(key [4]string, s *sum) []string {
		return []string{key[0], key[1], key[2], strconv.Itoa(s.lines), strconv.Itoa(s.amounts), s.text()}
	})
}

func adjudicatedByYear(d recipeData) [][]string {
	sums := map[[4]string]*sum{}
	each(d, "ExplanationOfBenefit", func(key sourceID, b benefit) {
		if b.Use != "claim" || b.Status != "active" {
			return
		}
		for _, i := range b.Item {
			for _, a := range i.Adjudication {
				if a.Amount.Value == "" {
					continue
				}
				category := a.Category.one("http://terminology.hl7.org/CodeSystem/adjudication")
				group := [4]string{key.source, year(firstStart(i.ServicedDate, i.ServicedPeriod.Start)), orNull(category), orNull(a.Amount.Currency)}
				if sums[group] == nil {
					sums[group] = new(sum)
				}
				sums[group].add(a.Amount.Value)
			}
		}
	})
	return sumRows(sums, func(key [4]string, s *sum) []string {
		return []string{key[0], key[1], key[2], key[3], strconv.Itoa(s.lines), s.text()}
	})
}

func providers(d recipeData) (rows [][]string) {
	names := map[sourceID]string{}
	each(d, "Organization", func(key sourceID, o struct{ Name string }) { names[key] = o.Name })
	each(d, "ExplanationOfBenefit", func(key sourceID, b benefit) {
		typ, id := target(b.Provider.Reference)
		name := b.Provider.Display
		if found := names[sourceID{key.source, id}]; typ == "Organization" && found != "" {
			name = found
		}
		rows = append(rows, []string{key.source, key.id, orNull(typ), orNull(name), timestamp(firstStart(b.Created))})
	})
	return rows
}
