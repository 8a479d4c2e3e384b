package bulktest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// selection is what a kick-off asks for.
type selection struct {
	level        level
	post         bool
	types        []string // nil: all
	since, until time.Time
	elements     []element
	queries      []query
	patients     map[string]bool // ids; nil: all
	ignored      []string        // what handling=lenient skipped
}

// element is an item of _elements. typ is "" if it applies to all types.
type element struct{ typ, name string }

// parse parses the parameters. If lenient, it records what is not supported in ignored.
func (q *selection) parse(given []parameter, lenient bool) error {
	seen := make(map[string]bool)
	for _, p := range given {
		switch p.name {
		case "_since", "_until", "_outputFormat":
			if seen[p.name] {
				return badRequest(p.name + " is given more than once")
			}
			seen[p.name] = true
		}
		if err := q.set(p, lenient); err != nil {
			return err
		}
	}
	if len(q.types) > 0 && !slices.ContainsFunc(q.types, q.level.exports) {
		return q.unsupported("none of the types in _type is exported at this level", lenient)
	}
	return nil
}

func (q *selection) set(p parameter, lenient bool) (err error) {
	switch p.name {
	case "_outputFormat":
		if !slices.Contains([]string{"application/fhir+ndjson", "application/ndjson", "ndjson"}, p.value) {
			return badRequest("_outputFormat " + p.value + " is not supported")
		}
	case "_since":
		q.since, err = parseInstant(p)
	case "_until":
		q.until, err = parseInstant(p)
	case "_type":
		return q.eachItem(p, lenient, q.addType)
	case "_elements":
		return q.eachItem(p, lenient, q.addElement)
	case "_typeFilter":
		for _, text := range splitQueries(p.value) {
			parsed, err := parseQuery(text)
			if err != nil {
				if err := q.unsupported(err.Error(), lenient); err != nil {
					return err
				}
				continue
			}
			q.queries = append(q.queries, parsed)
		}
	case "patient":
		return q.addPatient(p.value)
	default:
		return q.unsupported("the parameter "+p.name+" is not supported", lenient)
	}
	return err
}

// eachItem passes the items of a comma list to add. What add objects to is not supported.
func (q *selection) eachItem(p parameter, lenient bool, add func(string) string) error {
	for item := range strings.SplitSeq(p.value, ",") {
		if objection := add(strings.TrimSpace(item)); objection != "" {
			if err := q.unsupported(objection, lenient); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *selection) addType(typ string) (objection string) {
	if q.types == nil {
		q.types = []string{} // a list with nothing left does not mean all types
	}
	if !isResourceType(typ) {
		return "_type: " + typ + " is not an R4 resource type"
	}
	q.types = append(q.types, typ)
	return ""
}

func (q *selection) addElement(item string) (objection string) {
	typ, name, typed := strings.Cut(item, ".")
	if !typed {
		typ, name = "", item
	}
	if typed && !isResourceType(typ) || name == "" || strings.Contains(name, ".") {
		return "_elements: " + item + " is not a root element"
	}
	q.elements = append(q.elements, element{typ, name})
	return ""
}

func (q *selection) addPatient(reference string) error {
	switch id, ok := patientID(reference); {
	case !q.post:
		return badRequest("patient is allowed only with POST")
	case q.level == systemLevel:
		return badRequest("patient is not allowed in a system-level export")
	case !ok:
		return badRequest("patient must refer to a Patient: " + reference)
	case q.patients == nil:
		q.patients = map[string]bool{id: true}
	default:
		q.patients[id] = true
	}
	return nil
}

// unsupported refuses, or if lenient, records what is ignored.
func (q *selection) unsupported(text string, lenient bool) error {
	if !lenient {
		return refuse(http.StatusBadRequest, "not-supported", text)
	}
	q.ignored = append(q.ignored, text)
	return nil
}

// ignoredOutcomes returns the lines of the manifest's error file that say what was ignored.
func (q *selection) ignoredOutcomes() []string {
	var lines []string
	for _, text := range q.ignored {
		line, err := json.Marshal(newOutcome("warning", "not-supported", "ignored: "+text))
		if err != nil {
			panic("bulktest: an outcome that does not marshal: " + err.Error())
		}
		lines = append(lines, string(line))
	}
	return lines
}

// wants reports whether files of a type are exported at all.
func (q *selection) wants(typ string) bool {
	return q.level.exports(typ) && (q.types == nil || slices.Contains(q.types, typ))
}

// filter returns what the request requires of a file's lines, or nil if nothing. A nil people
// means everybody.
func (q *selection) filter(of File, people map[string]bool) *filter {
	typ := of.Type
	f := filter{typ: typ, since: q.since, until: q.until, changed: of.Changed}
	if people != nil && !hasNoPatient(typ) {
		f.people = people
	}
	for _, query := range q.queries {
		if query.typ == typ {
			f.queries = append(f.queries, query)
		}
	}
	for _, e := range q.elements {
		if e.typ == "" || e.typ == typ {
			f.elements = append(f.elements, e.name)
		}
	}
	if f.since.IsZero() && f.until.IsZero() && f.people == nil && f.queries == nil && f.elements == nil {
		return nil
	}
	return &f
}

// deletedFilter returns what the request requires of a deleted file's lines, or nil if nothing.
func (q *selection) deletedFilter(of File) *filter {
	f := filter{typ: of.Type, deletes: q.types}
	if of.Changed != nil {
		f.since, f.until, f.changed = q.since, q.until, of.Changed
	}
	if f.changed == nil && f.deletes == nil {
		return nil
	}
	return &f
}

// parseInstant parses FHIR's instant, or a date in UTC.
func parseInstant(p parameter) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, p.value); err == nil {
			return t, nil
		}
	}
	return time.Time{}, badRequest(p.name + " is neither an instant nor a date: " + p.value)
}

// unescapePair splits and unescapes name=value of a query.
func unescapePair(pair string) (name, value string, err error) {
	name, value, _ = strings.Cut(pair, "=")
	if name, err = url.QueryUnescape(name); err != nil {
		return "", "", err
	}
	value, err = url.QueryUnescape(value)
	return name, value, err
}
