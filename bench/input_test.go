package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// TestAppendOther checks that a sample becomes different people: all UUIDs differ and references
// still match, times and fractions change, everything else stays, and so do line lengths.
func TestAppendOther(t *testing.T) {
	t.Parallel()
	const id = "38bc51a7-1c9e-07cb-87e4-46cdcea000f1"
	sample := `{"id":"` + id + `","subject":{"reference":"urn:uuid:` + id + `"},"at":"2017-12-19T05:54:48.523+00:00","on":"1950-05","v":[64.204,1.50,-0.07,12],"s":"4.0.1 costs .5, T1"}` + "\n"
	if got := string(appendOther([]byte("x"), []byte(sample), 0)); got != "x"+sample {
		t.Errorf("the 0th is %s", got)
	}
	seen := map[string]bool{sample: true}
	for n := range uint64(20) {
		got := string(appendOther(nil, []byte(sample), n+1))
		if seen[got] || len(got) != len(sample) || !jsontext.Value(strings.TrimSpace(got)).IsValid() {
			t.Errorf("%d: %s", n, got)
		}
		seen[got] = true
		_, rest, _ := strings.Cut(got, `"id":"`)
		other := rest[:len(id)]
		if strings.Count(got, other) != 2 || strings.Contains(got, id) {
			t.Errorf("%d: UUIDs of %s", n, got)
		}
		for _, same := range []string{`"on":"1950-05"`, `"at":"2017-12-19T`, `+00:00"`, `,12],"s":"4.0.1 costs .5, T1"}`, `.204`[:3], `0,-0.0`} {
			if !strings.Contains(got, same) {
				t.Errorf("%d: no %s in %s", n, same, got)
			}
		}
		if strings.Contains(got, "05:54:48") {
			t.Errorf("%d: the time of %s", n, got)
		}
	}
}

// TestAdder checks for valid JSON without duplicate names, the same for the same seed, and much
// larger.
func TestAdder(t *testing.T) {
	t.Parallel()
	for _, resourceType := range goalTypes {
		var plain bytes.Buffer
		if err := generate(&plain, resourceType, 100_000); err != nil {
			t.Fatal(err)
		}
		widened := func() string {
			var to bytes.Buffer
			a := &adder{w: &to, left: 1 << 40, rand: rand.New(rand.NewPCG(1, 2))}
			if err := a.lines(bytes.NewReader(plain.Bytes())); err != nil {
				t.Fatal(err)
			}
			return to.String()
		}
		wide := widened()
		if wide != widened() {
			t.Errorf("%s differs from time to time", resourceType)
		}
		if len(wide) < 2*plain.Len() && resourceType != "ExplanationOfBenefit" || strings.Count(wide, "\n") != bytes.Count(plain.Bytes(), []byte("\n")) {
			t.Errorf("%s: %d bytes became %d", resourceType, plain.Len(), len(wide))
		}
		for d := jsontext.NewDecoder(strings.NewReader(wide)); ; { // rejects duplicate names
			if _, err := d.ReadValue(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", resourceType, err)
			}
		}
		for _, part := range []string{`"modifierExtension":[`, `"contained":[`, `"vendorBatch":{`, `"_status":{`, `"div":"`, `"extension":[{"url":"http://vendor`} {
			if !strings.Contains(wide, part) {
				t.Errorf("%s has no %s", resourceType, part)
			}
		}
	}
}
