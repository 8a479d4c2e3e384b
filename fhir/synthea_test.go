package fhir_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fhirkiln/fhir"
)

// Every member of real resources is in the tree, and has the shape that the tree
// says. With -short, only the first hundred lines of each file are read.
func TestSynthea(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../shared/data/synthea/*.ndjson.gz")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("no data at ../shared/data/synthea")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			z, err := gzip.NewReader(f)
			if err != nil {
				t.Fatal(err)
			}
			d := json.NewDecoder(bufio.NewReaderSize(z, 1<<16))
			d.UseNumber()
			for line := 1; line <= 100 || !testing.Short(); line++ {
				var resource map[string]any
				if err := d.Decode(&resource); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("line %d: %v", line, err)
				}
				if err := checkResource(resource); err != nil {
					t.Errorf("line %d: %v", line, err)
				}
			}
		})
	}
}

// The checker that TestSynthea relies on must detect errors.
func TestCheckResource(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"resourceType":"Patient","id":"1","birthDate":"1970","_birthDate":{"id":"x","extension":[{"url":"u","valueCode":"c"}]}}`: "",
		`{"resourceType":"Patient","name":[{"given":["A",null],"_given":[null,{"id":"x"}]}]}`:                                      "",
		`{"resourceType":"Patient","contained":[{"resourceType":"Binary","contentType":"a/b"}]}`:                                   "",
		`{"resourceType":"Questionnaire","status":"draft","item":[{"item":[{"item":[{"linkId":"1"}]}]}]}`:                          "",
		`{"resourceType":"Patient","meta":{"project":"p"}}`:                                                                        "Patient.meta.project: unknown",
		`{"resourceType":"Patient","deceasedString":"yes"}`:                                                                        "Patient.deceasedString: unknown",
		`{"resourceType":"Patient","active":"yes"}`:                                                                                "Patient.active: not a boolean",
		`{"resourceType":"Patient","multipleBirthInteger":"2"}`:                                                                    "Patient.multipleBirthInteger: not a number",
		`{"resourceType":"Patient","name":{"family":"A"}}`:                                                                         "Patient.name: not an array",
		`{"resourceType":"Patient","gender":["male"]}`:                                                                             "Patient.gender: not a string",
		`{"resourceType":"Patient","_name":[{"id":"x"}]}`:                                                                          "Patient._name: unknown",
		`{"resourceType":"Patient","_gender":{"use":"x"}}`:                                                                         "Patient._gender.use: unknown",
		`{"resourceType":"Patient","text":{"div":"<p/>","_div":{"extension":[]}}}`:                                                 "Patient.text._div.extension: unknown",
		`{"resourceType":"Patient","contained":[{"resourceType":"Binary","url":"u"}]}`:                                             "Patient.contained.url: unknown",
		`{"resourceType":"SubscriptionStatus"}`:                                                                                    "SubscriptionStatus: no concrete resource type",
		`{"resourceType":"DomainResource"}`:                                                                                        "DomainResource: no concrete resource type",
		`{"id":"1"}`:                                                                                                               ": no concrete resource type",
	} {
		var resource map[string]any
		if err := json.Unmarshal([]byte(text), &resource); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := checkResource(resource); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\ngot  %q\nwant %q", text, got, want)
		}
	}
}

func checkResource(resource map[string]any) error {
	name, _ := resource["resourceType"].(string)
	abstract, _ := fhir.R4().Lookup("Resource")
	return checkValue(name, abstract, resource)
}

func checkObject(path string, typ *fhir.Type, object map[string]any) error {
	for name, value := range object {
		if name == "resourceType" && typ.Kind == fhir.KindResource {
			continue
		}
		at := path + "." + name
		plain, sibling := strings.CutPrefix(name, "_")
		m, ok := typ.Member(plain)
		if !ok {
			return fmt.Errorf("%s: unknown", at)
		}
		child := fhir.R4().TypeOf(m)
		if sibling && (child.Kind != fhir.KindPrimitive || m.Element.Attribute) {
			return fmt.Errorf("%s: unknown", at)
		}
		values := []any{value}
		if m.Element.Array {
			if values, ok = value.([]any); !ok {
				return fmt.Errorf("%s: not an array", at)
			}
		}
		for _, v := range values {
			var err error
			switch {
			case v == nil && m.Element.Array && child.Kind == fhir.KindPrimitive:
			case sibling:
				extra, _ := v.(map[string]any)
				err = checkObject(at, child, extra)
			default:
				err = checkValue(at, child, v)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func checkValue(path string, typ *fhir.Type, value any) error {
	ok := false
	switch v := value.(type) {
	case string:
		ok = typ.JSON == fhir.JSONString
	case float64, json.Number:
		ok = typ.JSON == fhir.JSONNumber
	case bool:
		ok = typ.JSON == fhir.JSONBoolean
	case map[string]any:
		if typ.Name == "Resource" {
			name, _ := v["resourceType"].(string)
			concrete, found := fhir.R4().Lookup(name)
			if !found || concrete.Kind != fhir.KindResource || concrete.Abstract {
				return fmt.Errorf("%s: no concrete resource type", path)
			}
			typ = concrete
		}
		if typ.Kind != fhir.KindPrimitive {
			return checkObject(path, typ, v)
		}
	}
	if !ok {
		return fmt.Errorf("%s: not a %s", path, typ.JSON)
	}
	return nil
}
