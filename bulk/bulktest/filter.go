package bulktest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// filter decides which lines of a file are exported, and how much of them. Lines that stay whole
// are unchanged, byte for byte.
type filter struct {
	typ          string
	since, until time.Time // zero: no bound
	changed      func([]byte) time.Time
	people       map[string]bool // ids of the patients whose data to export; nil: everybody's
	queries      []query         // one of them must hold; nil: no condition
	elements     []string        // nil: all
	deletes      []string        // a Bundle must delete one of these types; nil: any
}

// apply returns what is left of a line, or nil if nothing is.
func (f *filter) apply(line []byte) ([]byte, error) {
	if jsontext.Value(line).Kind() != '{' {
		return nil, errors.New("not a JSON object")
	}
	for _, holds := range []func([]byte) (bool, error){f.inTime, f.ofPeople, f.asQueried, f.ofDeletes} {
		if ok, err := holds(line); !ok || err != nil {
			return nil, err
		}
	}
	if f.elements != nil {
		return f.subset(line)
	}
	return line, nil
}

// inTime reports whether a line changed between _since and _until, both excluded as in the IG.
// Lines without a known time of change pass.
func (f *filter) inTime(line []byte) (bool, error) {
	if f.since.IsZero() && f.until.IsZero() {
		return true, nil
	}
	var t time.Time
	var err error
	if f.changed != nil {
		t = f.changed(line)
	} else {
		err = lookup(line, []string{"meta", "lastUpdated"}, func(v jsontext.Value) error {
			if told, err := time.Parse(time.RFC3339Nano, text(v)); err == nil {
				t = told
			}
			return nil
		})
	}
	return t.IsZero() || (f.since.IsZero() || t.After(f.since)) && (f.until.IsZero() || t.Before(f.until)), err
}

func (f *filter) ofPeople(line []byte) (bool, error) {
	if f.people == nil {
		return true, nil
	}
	if f.typ == "Patient" {
		return anyText(line, "id", func(id string) bool { return f.people[id] })
	}
	for _, path := range compartmentPaths(f.typ) {
		ok, err := anyText(line, path+".reference", func(reference string) bool {
			id, ok := patientID(reference)
			return ok && f.people[id]
		})
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (f *filter) asQueried(line []byte) (bool, error) {
	for _, q := range f.queries {
		if ok, err := q.holds(line); ok || err != nil {
			return ok, err
		}
	}
	return f.queries == nil, nil
}

// ofDeletes reports whether a Bundle deletes a resource of a wanted type. Bundles that delete
// nothing pass.
func (f *filter) ofDeletes(line []byte) (bool, error) {
	if f.deletes == nil {
		return true, nil
	}
	names := false
	ok, err := anyText(line, "entry.request.url", func(url string) bool {
		names = true
		typ, _, _ := strings.Cut(url, "/")
		return slices.Contains(f.deletes, typ)
	})
	return ok || !names, err
}

// subset keeps the requested elements and the mandatory ones.
func (f *filter) subset(line []byte) ([]byte, error) {
	wanted := append(strings.Fields("resourceType id "+mandatory(f.typ)), f.elements...)
	out := []byte("{")
	tagged := false
	add := func(name string, v []byte) (err error) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out, err = jsontext.AppendQuote(out, name)
		out = append(append(out, ':'), v...)
		return err
	}
	err := eachMember(line, func(name string, v jsontext.Value) error {
		if name == "meta" {
			tagged = true
			meta, err := subsetted(v)
			return errors.Join(err, add(name, meta))
		}
		if slices.ContainsFunc(wanted, func(w string) bool { return isElement(name, w) }) {
			return add(name, v)
		}
		return nil
	})
	if err == nil && !tagged {
		err = add("meta", []byte(`{"tag":[`+subsettedTag+`]}`))
	}
	return append(out, '}'), err
}

// isElement reports whether a member belongs to an element: its name is the element's, that of
// its extensions (_name), or one of the types of name[x].
func isElement(member, element string) bool {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(member, "_"), strings.TrimSuffix(element, "[x]"))
	if !ok || rest == "" {
		return ok
	}
	const types = " Address Age Annotation Attachment Boolean Code CodeableConcept Coding Date DateTime Decimal Duration" +
		" Identifier Instant Integer Markdown Period PositiveInt Quantity Range Ratio Reference SampledData String Time Timing Uri "
	return strings.Contains(types, " "+rest+" ")
}

const subsettedTag = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`

// subsetted adds the tag of an incomplete resource to its meta.
func subsetted(meta jsontext.Value) ([]byte, error) {
	out, tags := []byte("{"), []byte(`"tag":[`)
	err := eachMember(meta, func(name string, v jsontext.Value) (err error) {
		if name != "tag" {
			out, err = jsontext.AppendQuote(out, name)
			out = append(append(append(out, ':'), v...), ',')
			return err
		}
		return lookup(v, nil, func(tag jsontext.Value) error {
			tags = append(append(tags, tag...), ',')
			return nil
		})
	})
	return append(append(append(out, tags...), subsettedTag...), "]}"...), err
}

// mandatory returns the root elements of common types that R4 requires.
func mandatory(typ string) string {
	switch typ {
	case "AllergyIntolerance", "RelatedPerson":
		return "patient"
	case "CarePlan", "MedicationRequest", "ServiceRequest":
		return "status intent subject medication[x]"
	case "Claim":
		return "status type use patient created provider priority insurance"
	case "Condition":
		return "subject"
	case "Consent":
		return "status scope category"
	case "Coverage":
		return "status beneficiary payor"
	case "DiagnosticReport", "Observation":
		return "status code"
	case "DocumentReference":
		return "status content"
	case "Encounter":
		return "status class"
	case "ExplanationOfBenefit":
		return "status type use patient created insurer provider outcome insurance"
	case "Goal":
		return "lifecycleStatus description subject"
	case "Group":
		return "type actual"
	case "ImagingStudy", "Procedure":
		return "status subject"
	case "Immunization":
		return "status vaccineCode patient occurrence[x]"
	case "MedicationAdministration", "MedicationDispense", "MedicationStatement":
		return "status medication[x] subject"
	case "Provenance":
		return "target recorded agent"
	default:
		return ""
	}
}
