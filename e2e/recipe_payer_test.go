//go:build cgo

package e2e

import (
	"maps"
	"slices"
	"strings"
)

// claimLinks are the parts of an ExplanationOfBenefit that link it to others.
type claimLinks struct {
	Identifier []struct{ Value string }
	Claim      reference
	Related    []struct {
		Relationship concept
		Claim        reference
		Reference    struct{ Value string }
	}
}

func replacedClaims(d recipeData) (rows [][]string) {
	found := map[[3]string]bool{}
	each(d, "ExplanationOfBenefit", func(key sourceID, b claimLinks) {
		for _, r := range b.Related {
			is := func(code string) bool {
				return slices.ContainsFunc(r.Relationship.Coding, func(c coding) bool { return c.Code == code })
			}
			each(d, "ExplanationOfBenefit", func(other sourceID, o claimLinks) {
				if other.source != key.source || other.id == key.id {
					return
				}
				_, claim := target(r.Claim.Reference)
				_, answered := target(o.Claim.Reference)
				same := claim != "" && claim == answered
				for _, i := range o.Identifier {
					same = same || i.Value != "" && i.Value == r.Reference.Value
				}
				if same && is("prior") {
					found[[3]string{key.source, other.id, key.id}] = true
				}
				if same && is("replacedby") {
					found[[3]string{key.source, key.id, other.id}] = true
				}
			})
		}
	})
	for row := range found {
		rows = append(rows, row[:])
	}
	return rows
}

func sharedNumbers(d recipeData) (rows [][]string) {
	patients := map[[2]string]map[string]bool{}
	each(d, "Patient", func(key sourceID, p struct {
		Identifier []struct{ System, Value string }
	}) {
		for _, i := range p.Identifier {
			number := [2]string{i.System, i.Value}
			if i.System == "" || i.Value == "" {
				continue
			}
			if patients[number] == nil {
				patients[number] = map[string]bool{}
			}
			patients[number][key.source+"/"+key.id] = true
		}
	})
	for number, having := range patients {
		all := slices.Sorted(maps.Keys(having))
		first, _, _ := strings.Cut(all[0], "/")
		last, _, _ := strings.Cut(all[len(all)-1], "/")
		if first != last {
			rows = append(rows, []string{number[0], number[1], strings.Join(all, ", ")})
		}
	}
	return rows
}

func resourcesOfOne(d recipeData) (rows [][]string) {
	const source, wanted = "demo", "08b4fda8-c892-450e-84e5-b98100c67fb0"
	mine := map[string]bool{"Patient/" + wanted: true}
	for typ := range d {
		each(d, typ, func(key sourceID, resource map[string]any) {
			for _, name := range []string{"patient", "subject", "beneficiary"} {
				ref, isReference := resource[name].(map[string]any)
				text, isText := ref["reference"].(string)
				if _, id := target(text); key.source == source && isReference && isText && id == wanted {
					mine[typ+"/"+key.id] = true
				}
			}
		})
	}
	about := map[string]bool{}
	each(d, "Provenance", func(key sourceID, p struct{ Target []reference }) {
		for _, ref := range p.Target {
			if typ, id := target(ref.Reference); key.source == source && mine[typ+"/"+id] {
				about["Provenance/"+key.id] = true
			}
		}
	})
	maps.Copy(mine, about)
	for name := range mine {
		typ, id, _ := strings.Cut(name, "/")
		rows = append(rows, []string{source, typ, id})
	}
	return rows
}
