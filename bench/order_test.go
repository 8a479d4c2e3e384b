package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestOrderOfPeople checks that each copy has all lines, that a patient's lines stay together and
// in order, that copies have different orders, and that files of other types have the same order.
func TestOrderOfPeople(t *testing.T) {
	t.Parallel()
	var observations, claims, patients strings.Builder
	for i := range 200 {
		fmt.Fprintf(&observations, `{"resourceType":"Observation","id":"%d","subject":{"reference":"urn:uuid:p%d"}}`+"\n", i, i%20)
	}
	for i := range 20 {
		fmt.Fprintf(&claims, `{"resourceType":"Claim","id":"%d","patient":{"reference":"Patient/p%d"}}`+"\n", i, i)
		fmt.Fprintf(&patients, `{"resourceType":"Patient","id":"p%d"}`+"\n", i)
	}
	copyOf := func(text string, n uint64) string {
		var b bytes.Buffer
		for _, p := range inOrderOf(byPatient([]byte(text)), n) {
			b.Write(p.lines)
		}
		return b.String()
	}
	order := func(text string) []string {
		var people []string
		for line := range strings.Lines(text) {
			people = append(people, string(patientOf([]byte(line))))
		}
		return slices.Compact(people)
	}
	seen := map[string]bool{}
	for n := range uint64(10) {
		got := copyOf(observations.String(), n)
		if got != copyOf(observations.String(), n) {
			t.Errorf("copy %d differs from time to time", n)
		}
		people := order(got)
		if len(people) != 20 || seen[fmt.Sprint(people)] {
			t.Errorf("copy %d is of %q", n, people)
		}
		seen[fmt.Sprint(people)] = true
		if !slices.Equal(sorted(got), sorted(observations.String())) {
			t.Errorf("copy %d has other lines", n)
		}
		last := map[string]int{}
		for line := range strings.Lines(got) {
			var id int
			_, rest, _ := strings.Cut(line, `"id":"`)
			if _, err := fmt.Sscanf(rest, `%d`, &id); err != nil {
				t.Fatal(err)
			}
			p := string(patientOf([]byte(line)))
			if before, ok := last[p]; ok && id < before {
				t.Errorf("copy %d has %d of %s after %d", n, id, p, before)
			}
			last[p] = id
		}
		for _, other := range []string{claims.String(), patients.String()} {
			if got := order(copyOf(other, n)); !slices.Equal(got, people) {
				t.Errorf("copy %d is of %q here, of %q there", n, people, got)
			}
		}
	}
}

// TestShuffle checks for the same lines in a different order that is always the same.
func TestShuffle(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintln(&text, i)
	}
	shuffled := func() string {
		var b bytes.Buffer
		if err := shuffle(&b, []byte(text.String())); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	got := shuffled()
	if got == text.String() || got != shuffled() || !slices.Equal(sorted(got), sorted(text.String())) {
		t.Errorf("shuffled: %.100q", got)
	}
}

func sorted(text string) []string { return slices.Sorted(strings.Lines(text)) }
