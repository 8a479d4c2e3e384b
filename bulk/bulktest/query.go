package bulktest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// query is one search of a _typeFilter. All its clauses must hold.
type query struct {
	typ     string
	clauses []clause
}

// clause is one search parameter.
type clause func(line []byte) (bool, error)

func (q query) holds(line []byte) (bool, error) {
	for _, c := range q.clauses {
		if ok, err := c(line); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// splitQueries splits a comma list of searches. An item with a ? begins a search; otherwise the
// comma separates values.
func splitQueries(list string) []string {
	var queries []string
	for item := range strings.SplitSeq(list, ",") {
		if n := len(queries); n > 0 && !strings.Contains(item, "?") {
			queries[n-1] += "," + item
			continue
		}
		queries = append(queries, item)
	}
	return queries
}

// parseQuery parses Type?param=value&param=value.
func parseQuery(search string) (query, error) {
	typ, params, _ := strings.Cut(search, "?")
	if !isResourceType(typ) {
		return query{}, fmt.Errorf("_typeFilter: %s must begin with an R4 resource type and ?", search)
	}
	q := query{typ: typ}
	values, err := url.ParseQuery(params)
	if err != nil {
		return query{}, fmt.Errorf("_typeFilter: %s: %w", search, err)
	}
	for name, all := range values {
		for _, value := range all {
			c, err := parseClause(typ, name, strings.Split(value, ","))
			if err != nil {
				return query{}, fmt.Errorf("_typeFilter: %s: %w", search, err)
			}
			q.clauses = append(q.clauses, c)
		}
	}
	return q, nil
}

// parseClause returns the clause of a search parameter. One of the values must match.
func parseClause(typ, name string, values []string) (clause, error) {
	switch name {
	case "_id":
		return func(line []byte) (bool, error) {
			return anyText(line, "id", func(id string) bool { return slices.Contains(values, id) })
		}, nil
	case "patient", "subject":
		return referenceClause(typ, values)
	case "identifier", "status", "code", "type", "category", "class", "intent", "use":
		return tokenClause(name, values), nil
	case "clinical-status":
		return tokenClause("clinicalStatus", values), nil
	case "lifecycle-status":
		return tokenClause("lifecycleStatus", values), nil
	case "vaccine-code":
		return tokenClause("vaccineCode", values), nil
	}
	if paths := dateElements(typ, name); paths != nil {
		return dateClause(paths, values)
	}
	return nil, fmt.Errorf("the search parameter %s is not supported", name)
}

// referenceClause checks the first of the type's references to a patient, which is the patient
// that the resource is about.
func referenceClause(typ string, values []string) (clause, error) {
	paths := compartmentPaths(typ)
	if paths == nil {
		return nil, fmt.Errorf("%s has no patient", typ)
	}
	ids := make(map[string]bool)
	for _, value := range values {
		id, ok := patientID(value)
		if !ok {
			id = value // patient=123 means Patient/123
		}
		ids[id] = true
	}
	return func(line []byte) (bool, error) {
		return anyText(line, paths[0]+".reference", func(reference string) bool {
			id, ok := patientID(reference)
			return ok && ids[id]
		})
	}, nil
}

// tokenClause compares a code, Coding, CodeableConcept or Identifier with code, system|code,
// |code or system|.
func tokenClause(element string, values []string) clause {
	return func(line []byte) (found bool, err error) {
		err = lookup(line, []string{element}, func(v jsontext.Value) error {
			for _, value := range values {
				found = found || isToken(v, value)
			}
			return nil
		})
		return found, err
	}
}

func isToken(v jsontext.Value, value string) bool {
	system, code, hasSystem := strings.Cut(value, "|")
	if !hasSystem {
		code = value
	}
	if v.Kind() == '"' {
		return text(v) == code // a code's system is implied by the element; ignore the given one
	}
	type coding struct{ System, Code, Value string }
	var concept struct {
		coding
		Coding []coding
	}
	if json.Unmarshal(v, &concept) != nil {
		return false
	}
	return slices.ContainsFunc(append(concept.Coding, concept.coding), func(c coding) bool {
		if hasSystem && c.System != system {
			return false
		}
		return hasSystem && code == "" || code != "" && (c.Code == code || c.Value == code)
	})
}
