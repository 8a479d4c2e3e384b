package main

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
)

// structureDefinition is the part of HL7's StructureDefinition that the
// element tree needs.
type structureDefinition struct {
	Name        attr         `xml:"name"`
	FHIRVersion attr         `xml:"fhirVersion"`
	Kind        attr         `xml:"kind"`
	Abstract    attr         `xml:"abstract"`
	Base        attr         `xml:"baseDefinition"`
	Derivation  attr         `xml:"derivation"`
	Elements    []elementDef `xml:"snapshot>element"`
}

type elementDef struct {
	Path             attr      `xml:"path"`
	Representation   attr      `xml:"representation"`
	Min              attr      `xml:"min"`
	Max              attr      `xml:"max"`
	ContentReference attr      `xml:"contentReference"`
	Types            []typeDef `xml:"type"`
}

type typeDef struct {
	Code           attr           `xml:"code"`
	TargetProfiles []attr         `xml:"targetProfile"`
	Extensions     []extensionDef `xml:"extension"`
}

type extensionDef struct {
	URL      string `xml:"url,attr"`
	ValueURL attr   `xml:"valueUrl"`
}

// attr is a primitive in FHIR's XML, whose value is an attribute.
type attr struct {
	Value string `xml:"value,attr"`
}

// input is the content of a zip file of definitions.
type input struct {
	definitions []structureDefinition
	sums        []string // "name sha256" of each file, for the record
}

// inputFiles returns HL7's file names in the order in which they are read.
func inputFiles() []string { return []string{"profiles-types.xml", "profiles-resources.xml"} }

func readZip(name string) (*input, error) {
	z, err := zip.OpenReader(name)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	in := new(input)
	for _, want := range inputFiles() {
		f, err := find(z, want)
		if err != nil {
			return nil, err
		}
		if err := in.read(f, want); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return in, nil
}

// find returns the file with that base name, in whichever folder the archive
// has it.
func find(z *zip.ReadCloser, base string) (*zip.File, error) {
	var found *zip.File
	for _, f := range z.File {
		if path.Base(f.Name) != base {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("two files are named %s", base)
		}
		found = f
	}
	if found == nil {
		return nil, fmt.Errorf("no file is named %s", base)
	}
	return found, nil
}

func (in *input) read(f *zip.File, name string) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	tee := io.TeeReader(r, h)
	d := xml.NewDecoder(tee)
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		start, ok := t.(xml.StartElement)
		if !ok || start.Name.Local != "StructureDefinition" {
			continue
		}
		var sd structureDefinition
		if err := d.DecodeElement(&sd, &start); err != nil {
			return err
		}
		in.definitions = append(in.definitions, sd)
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return err
	}
	in.sums = append(in.sums, fmt.Sprintf("%s sha256 %x", name, h.Sum(nil)))
	return nil
}
