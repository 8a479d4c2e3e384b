package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Operation is the operation that exports at a source.
type Operation string

const (
	// OperationExport is the operation of the Bulk Data Access IG.
	OperationExport Operation = "$export"
	// OperationDaVinci is the operation of Da Vinci's Member Attribution List (ATR 2.1.0),
	// which Payer Data Exchange (PDex 2.2.0) also uses. It is for groups only.
	OperationDaVinci Operation = "$davinci-data-export"
)

// DeleteExport says whether to delete an export at its server once its data is published. If a
// server takes no other export until then, a run deletes it once its files are staged.
type DeleteExport string

const (
	// DeleteAuto deletes it unless published rows hold attachments at the server.
	DeleteAuto DeleteExport = "auto"
	// DeleteAlways deletes it, whatever the rows hold.
	DeleteAlways DeleteExport = "always"
	// DeleteNever leaves it to the server when to delete it.
	DeleteNever DeleteExport = "never"
)

// Parameter is one parameter of a kick-off.
type Parameter struct {
	// Name of the parameter.
	Name string `yaml:"name" jsonschema:"required,pattern=^[A-Za-z_][A-Za-z0-9_.:-]*$" want:"the name of a parameter such as _mdm"`
	// Its value. If left out, the parameter is not sent, even if fhirkiln would otherwise send it, as it does _outputFormat.
	Value string `yaml:"value"`
	// FHIR type of the value, which is sent only with POST.
	Type string `yaml:"type" jsonschema:"enum=string,enum=boolean,enum=integer,enum=decimal,enum=code,enum=id,enum=uri,enum=url,enum=canonical,enum=date,enum=dateTime,enum=instant,enum=Reference,default=string"`
}

// HeaderRequests says which requests a [Header] goes with.
type HeaderRequests string

const (
	// HeaderKickOff is the kick-off alone.
	HeaderKickOff HeaderRequests = "kickoff"
	// HeaderAll is all requests to the origins that credentials are for.
	HeaderAll HeaderRequests = "all"
)

// Header is a further HTTP header of a source.
type Header struct {
	// Name of the header.
	Name string `yaml:"name" jsonschema:"required,pattern=^[A-Za-z0-9][A-Za-z0-9_.-]*$" want:"the name of a header such as x-api-key"`
	// Its value, which is never printed.
	Value Secret `yaml:"value"`
	// Which requests carry it: the kick-off alone, or all requests to the origins of fhir and token_origins, as a gateway's API key requires.
	Requests HeaderRequests `yaml:"requests" jsonschema:"enum=kickoff,enum=all,default=kickoff"`
}

// keyOf returns the key of a parameter that has its own, which the watermark and the record of
// a feed's filters rely on, or "" for any other parameter.
func keyOf(parameter string) string {
	switch parameter {
	case "_since":
		return "since"
	case "_until":
		return "until"
	case "_type":
		return "types"
	case "_elements":
		return "elements"
	case "_typeFilter":
		return "type_filters"
	case "patient":
		return "patients"
	case "includeAssociatedData":
		return "associated_data"
	case "organizeOutputBy":
		return "organize_by"
	case "allowPartialManifests":
		return "partial_manifests"
	case "exportType":
		return "export_type"
	}
	return ""
}

func (d *decoder) checkParameters(path string, parameters []Parameter) {
	for i, p := range parameters {
		item := fmt.Sprintf("%s[%d]", path, i)
		if key := keyOf(p.Name); key != "" {
			d.problemAt(join(item, "name"), "has its own key; set %s of the feed instead", key)
		}
		if p.Value != "" && !d.failed[join(item, "type")] && !fitsType(p.Value, p.Type) {
			d.valueProblemAt(join(item, "value"), "is not a valid %s; expected one as FHIR writes it", p.Type)
		}
	}
}

// fitsType reports whether a value fits its FHIR type. It checks the types that JSON has too,
// which a POST therefore writes without quotes.
func fitsType(value, fhirType string) bool {
	switch fhirType {
	case "boolean":
		return value == "true" || value == "false"
	case "integer", "decimal":
		number := json.Valid([]byte(value)) && strings.Trim(value, "+-.0123456789eE") == ""
		return number && (fhirType == "decimal" || !strings.ContainsAny(value, ".eE"))
	}
	return true
}

func (d *decoder) checkHeaders(path string, headers []Header) {
	// Headers that fhirkiln sends itself, and those that only auth may set, since credentials
	// go only to the origins that they are for.
	reserved := []string{"accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "cookie", "host",
		"if-range", "proxy-authorization", "range", "te", "trailer", "transfer-encoding", "upgrade"}
	seen := map[string]bool{}
	for i, h := range headers {
		item := fmt.Sprintf("%s[%d]", path, i)
		name := strings.ToLower(h.Name)
		value := d.secretPath(item, "value")
		switch {
		case slices.Contains(reserved, name):
			d.problemAt(join(item, "name"), "is set by fhirkiln itself; use another header (credentials belong in auth)")
		case name == "prefer" && h.Requests == HeaderAll:
			d.problemAt(join(item, "requests"), "is not allowed with Prefer, which only the kick-off carries; use kickoff")
		case seen[name] && name != "":
			d.problemAt(join(item, "name"), "is a duplicate; set each header only once")
		}
		seen[name] = true
		switch {
		case h.Value == "" && !d.failed[join(item, "value")]:
			if !d.given(value) {
				d.problemAt(value, "missing; expected value or value_file")
			} else {
				d.valueProblemAt(value, "is empty; expected value or value_file")
			}
		case strings.ContainsFunc(h.Value.Reveal(), func(r rune) bool { return r < ' ' || r > '~' }):
			d.valueProblemAt(value, "has characters that an HTTP header cannot carry; expected only the value")
		}
	}
}
