package bulk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Level is the level of an export (IG, "Bulk Data Kick-off Request", endpoints).
type Level string

// The levels of an export.
const (
	System  Level = "system"  // [base]/$export
	Patient Level = "patient" // [base]/Patient/$export
	Group   Level = "group"   // [base]/Group/[id]/$export
)

// Request is a kick-off. Zero fields are not sent.
type Request struct {
	Level Level  // required
	Group string // the group's id; required at Group level

	Types       []string  // _type
	Since       time.Time // _since, as an instant
	Until       time.Time // _until (IG 3.0.0)
	Elements    []string  // _elements
	TypeFilters []string  // _typeFilter, each "Type?query"
	Patients    []string  // patient, as references "Patient/…"; requires Post

	AssociatedData []string // includeAssociatedData
	OrganizeBy     string   // organizeOutputBy (IG 3.0.0)

	// ExportType kicks off $davinci-data-export (Da Vinci ATR 2.1.0) instead of $export,
	// with this exportType, such as hl7.fhir.us.davinci-pdex#payertopayer (PDex 2.2.0).
	// Group level only.
	ExportType string

	// PartialManifests allows the server to list files while the export still runs
	// (allowPartialManifests, IG 3.0.0); [Progress] passes them on.
	PartialManifests bool

	// Parameters are sent as well. Each replaces the parameter of that name that the fields
	// above would send.
	Parameters []Parameter

	// Header is sent as well. It cannot replace Accept and Content-Type; values of Prefer
	// are added to the others.
	Header map[string]string

	// Lenient asks the server to ignore parameters that it does not support (Prefer:
	// handling=lenient). It then says so in [Job].Issues or in the manifest's Errors.
	Lenient bool

	// SeparateStatus asks the server to answer polls with 200 even if the export failed
	// (Prefer: separate-export-status, IG 3.0.0). It helps with gateways that mistake a
	// failed export for a failing server.
	SeparateStatus bool

	// SinceAsDate sends Since as a date, as 1upHealth documents it: the UTC day before
	// Since, because the time zone of the server's day is unknown.
	SinceAsDate bool

	// RepeatLists sends _type, _elements and includeAssociatedData as one key per value
	// instead of a comma list. BCDA and Oracle read only the first of repeated keys; IG
	// 4.0.0-ballot forbids comma lists.
	RepeatLists bool

	// Post sends a Parameters resource by POST. Otherwise the parameters go into the query
	// of a GET, which servers of IG 2.0.0 and 3.0.0 must support.
	Post bool

	// MakeRoom, if set, is called when the server is busy with another export of this
	// client. True means that there is room now, and the kick-off is sent again at once.
	MakeRoom func(ctx context.Context) bool
}

// Parameter is one parameter of a kick-off.
type Parameter struct {
	Name  string
	Value string // "" omits the parameter, even if a field of Request sets it

	// Kind is the type of value[x] in a POST: "String", "Code", "Boolean" … Default
	// "String".
	Kind string
}

const ndjson = "application/fhir+ndjson"

// parameters returns all parameters of the kick-off, with the kinds that a Parameters resource
// needs.
func (r Request) parameters() []Parameter {
	ps := []Parameter{{"_outputFormat", ndjson, "String"}}
	one := func(name, value, kind string) {
		if value != "" {
			ps = append(ps, Parameter{name, value, kind})
		}
	}
	list := func(name string, values []string, kind string) {
		if !r.RepeatLists {
			values = []string{strings.Join(values, ",")}
		}
		for _, v := range values {
			one(name, v, kind)
		}
	}
	one("exportType", r.ExportType, "Canonical")
	list("_type", r.Types, "String")
	if !r.Since.IsZero() {
		if r.SinceAsDate {
			one("_since", r.Since.UTC().AddDate(0, 0, -1).Format(time.DateOnly), "Date")
		} else {
			one("_since", instant(r.Since), "Instant")
		}
	}
	if !r.Until.IsZero() {
		one("_until", instant(r.Until), "Instant")
	}
	list("_elements", r.Elements, "String")
	for _, f := range r.TypeFilters {
		one("_typeFilter", f, "String") // always repeated, because filters may contain commas
	}
	for _, p := range r.Patients {
		one("patient", p, "Reference")
	}
	list("includeAssociatedData", r.AssociatedData, "Code")
	one("organizeOutputBy", r.OrganizeBy, "String")
	if r.PartialManifests {
		one("allowPartialManifests", "true", "Boolean")
	}
	ps = slices.DeleteFunc(ps, func(p Parameter) bool {
		return slices.ContainsFunc(r.Parameters, func(free Parameter) bool { return free.Name == p.Name })
	})
	for _, p := range r.Parameters {
		one(p.Name, p.Value, cmp.Or(p.Kind, "String"))
	}
	return ps
}

// instant formats t to the millisecond: truncating to the second would be safe for _since,
// but not for _until.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// path returns the path of the kick-off below the base URL.
func (r Request) path() (string, error) {
	operation := "/$export"
	if r.ExportType != "" {
		if operation = "/$davinci-data-export"; r.Level != Group {
			return "", errors.New("bulk: $davinci-data-export requires level group")
		}
	}
	switch r.Level {
	case System:
		return operation, nil
	case Patient:
		return "/Patient" + operation, nil
	case Group:
		if r.Group == "" {
			return "", errors.New("bulk: a group export needs the group's id")
		}
		return "/Group/" + url.PathEscape(r.Group) + operation, nil
	}
	return "", errors.New("bulk: unknown export level " + string(r.Level))
}

// prefer returns the value of the Prefer header.
func (r Request) prefer() string {
	p := "respond-async"
	if r.SeparateStatus {
		p += ", separate-export-status"
	}
	if r.Lenient {
		p += ", handling=lenient"
	}
	return p
}

// query returns the parameters for a GET.
func (r Request) query() url.Values {
	q := url.Values{}
	for _, p := range r.parameters() {
		q.Add(p.Name, p.Value)
	}
	return q
}

// resource returns the parameters as the body of a POST.
func (r Request) resource() string {
	type value map[string]any
	ps := r.parameters()
	list := make([]value, len(ps))
	for i, p := range ps {
		v := any(p.Value)
		switch p.Kind {
		case "Reference":
			v = value{"reference": p.Value}
		case "Boolean", "Integer", "Decimal": // not strings in JSON
			if json.Valid([]byte(p.Value)) {
				v = json.RawMessage(p.Value)
			}
		}
		list[i] = value{"name": p.Name, "value" + p.Kind: v}
	}
	body, err := json.Marshal(value{"resourceType": "Parameters", "parameter": list})
	if err != nil {
		panic(err) // strings and valid JSON always marshal
	}
	return string(body)
}
