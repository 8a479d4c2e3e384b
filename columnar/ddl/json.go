package ddl

import (
	"encoding/json"
	"strings"

	"fhirkiln/columnar"
)

// jsonLayout is the top level of the format JSON.
type jsonLayout struct {
	Layout string      `json:"layout"`
	Type   string      `json:"type"` // the resource type
	Hash   string      `json:"hash"` // of the schema, SHA-256 in hex
	Fields []jsonField `json:"fields"`
}

// jsonField is a field of a layout. Types have Iceberg's names
// (https://iceberg.apache.org/spec/#schemas-and-data-types), since the ids are for Iceberg, too.
type jsonField struct {
	Name      string      `json:"name"`
	Type      string      `json:"type"` // of an element, for a list
	List      bool        `json:"list,omitempty"`
	Required  bool        `json:"required,omitempty"`
	ID        int         `json:"id"`
	ElementID int         `json:"element_id,omitempty"` // of a list
	FHIR      string      `json:"fhir,omitempty"`       // "" for what fhirkiln adds
	Fields    []jsonField `json:"fields,omitempty"`     // of a struct
}

func tree(l *columnar.Layout) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	// Encoding strings, numbers and booleans to memory cannot fail.
	_ = e.Encode(jsonLayout{Layout: columnar.LayoutName, Type: l.ResourceType, Hash: l.Hash(), Fields: jsonFields(l.Fields)})
	return b.String()
}

func jsonFields(fields []*columnar.Field) []jsonField {
	var all []jsonField
	for _, f := range fields {
		all = append(all, jsonField{
			Name: f.Name, Type: icebergTypes[f.Type], List: f.List, Required: f.Required,
			ID: f.ID, ElementID: f.ElementID, FHIR: f.FHIR, Fields: jsonFields(f.Fields),
		})
	}
	return all
}

var icebergTypes = map[columnar.Type]string{
	columnar.Struct:    "struct",
	columnar.String:    "string",
	columnar.Boolean:   "boolean",
	columnar.Int:       "int",
	columnar.Long:      "long",
	columnar.Timestamp: "timestamptz",
	columnar.Decimal:   "decimal(38,9)",
}
