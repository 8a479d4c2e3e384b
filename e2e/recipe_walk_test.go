//go:build cgo

package e2e

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// item is an item of a QuestionnaireResponse.
type item struct {
	LinkID string `json:"linkId"`
	Answer []struct {
		ValueCoding                                      coding
		ValueDecimal, ValueInteger                       json.Number
		ValueQuantity                                    quantity
		ValueString, ValueDate, ValueDateTime, ValueTime string
		ValueURI                                         string `json:"valueUri"`
		ValueBoolean                                     *bool
		ValueReference                                   reference
		ValueAttachment                                  struct{ URL string }
		Item                                             []item
	}
	Item []item
}

func answers(d recipeData) (rows [][]string) {
	each(d, "QuestionnaireResponse", func(key sourceID, q struct{ Item []item }) {
		var walk func(path string, items []item)
		walk = func(path string, items []item) {
			for _, i := range items {
				question := path + i.LinkID
				for _, a := range i.Answer {
					text := cmp.Or(a.ValueString, a.ValueDate, a.ValueDateTime, a.ValueTime, a.ValueURI, a.ValueReference.Reference, a.ValueAttachment.URL)
					if a.ValueBoolean != nil {
						text = strconv.FormatBool(*a.ValueBoolean)
					}
					number := cmp.Or(a.ValueDecimal, a.ValueInteger, a.ValueQuantity.Value)
					rows = append(rows, []string{key.source, key.id, question, orNull(a.ValueCoding.Code), decimal(number), orNull(text)})
					walk(question+" / ", a.Item)
				}
				walk(question+" / ", i.Item)
			}
		}
		walk("", q.Item)
	})
	return rows
}

// tiers returns the tiers of the patients who have one; R4 does not know tiers.
func tiers(d recipeData) (rows [][]string) {
	each(d, "Patient", func(key sourceID, p struct{ Tier string }) {
		if p.Tier != "" {
			rows = append(rows, []string{key.source, key.id, p.Tier})
		}
	})
	return rows
}

// unknownMembers counts the members of patients that R4 does not know, ids of names, and lines
// with half a surrogate pair in a column, which are kept whole.
func unknownMembers(d recipeData) (rows [][]string) {
	counts := map[string]int{}
	each(d, "Patient", func(_ sourceID, p struct {
		Tier string
		Name []struct{ ID, Family string }
	}) {
		for _, n := range p.Name {
			if strings.Contains(n.Family, "\uFFFD") {
				counts[""]++
				return
			}
		}
		if p.Tier != "" {
			counts["/tier"]++
		}
		for _, n := range p.Name {
			if n.ID != "" {
				counts["/name/[]/id"]++
			}
		}
	})
	for pointer, n := range counts {
		rows = append(rows, []string{"Patient", pointer, strconv.Itoa(n)})
	}
	return rows
}

// extensionCounts walks through the JSON of every Patient, whatever it contains.
func extensionCounts(d recipeData) (rows [][]string) {
	counts := map[[3]string]int{} // by path, urls, type
	var object func(path, urls string, o map[string]any)
	var extensions func(path, urls string, list any)
	inside := func(path, urls string, v any) {
		switch v := v.(type) {
		case map[string]any:
			object(path, urls, v)
		case []any:
			for _, e := range v {
				if o, ok := e.(map[string]any); ok && urls == "" {
					object(path+"[]", urls, o)
				} else if ok {
					object(path, urls, o)
				}
			}
		}
	}
	extensions = func(path, urls string, list any) {
		for _, e := range list.([]any) {
			e := e.(map[string]any)
			chain := e["url"].(string)
			if urls != "" {
				chain = urls + " > " + chain
			}
			typ := "NULL"
			for name := range e {
				if suffix, ok := strings.CutPrefix(name, "value"); ok {
					typ = suffix
					if !slices.Contains([]string{"Address", "Coding", "HumanName"}, suffix) {
						typ = strings.ToLower(suffix[:1]) + suffix[1:]
					}
				}
			}
			counts[[3]string{path, chain, typ}]++
			object(path, chain, e)
		}
	}
	object = func(path, urls string, o map[string]any) {
		for name, v := range o {
			at := path
			if urls == "" { // within an extension, the path stays that of its element
				at = strings.TrimPrefix(path+"."+name, ".")
			}
			switch name {
			case "extension", "modifierExtension":
				extensions(path, urls, v)
			case "contained":
			default:
				inside(at, urls, v)
			}
		}
	}
	each(d, "Patient", func(_ sourceID, p map[string]any) { object("", "", p) })
	for key, n := range counts {
		rows = append(rows, []string{"Patient", key[0], key[1], key[2], strconv.Itoa(n)})
	}
	return rows
}
