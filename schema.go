// Package fhirkiln holds what lies beside the module's go.mod. The program is in
// cmd/fhirkiln; the packages below it say what they do.
package fhirkiln

import _ "embed"

//go:embed config.schema.json
var configSchema []byte

// ConfigSchema is the JSON Schema of config.yaml.
func ConfigSchema() []byte { return configSchema }
