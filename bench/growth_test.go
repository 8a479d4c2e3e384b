package main

import (
	"encoding/json"
	"testing"

	"fhirkiln/columnar"
)

// TestAppendTexts checks for valid JSON with as many texts as there are columns to fill.
func TestAppendTexts(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 10, 100} {
		left := n
		line := append(appendTexts([]byte(`{"resourceType":"ExplanationOfBenefit"`), columnar.LayoutOf("ExplanationOfBenefit").Fields, 7, &left, ","), '}')
		var resource map[string]any
		if err := json.Unmarshal(line, &resource); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if got := texts(resource); left != 0 || got != n+1 {
			t.Errorf("%d texts, %d left: %s", got, left, line)
		}
	}
}

// texts counts the strings in JSON.
func texts(v any) int {
	n := 0
	switch v := v.(type) {
	case string:
		n++
	case []any:
		for _, e := range v {
			n += texts(e)
		}
	case map[string]any:
		for _, e := range v {
			n += texts(e)
		}
	}
	return n
}
