package transport_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fhirkiln/fhir"
	"fhirkiln/transport"
)

func TestWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text, want string
		known      []string
	}{
		{"", "", nil},
		{"No such group.", "No such group.", nil},
		{"that that is in the the request", "that that is in the the request", nil},
		{"Group 1234 does not exist", "Group … does not exist", nil},
		{"unknown parameter '_elements' in Patient/$export", "unknown parameter '_elements' in Patient/$export", nil},
		{"In Progress (42%)", "In Progress (42%)", nil},
		{"RUNNING: 50.00%", "RUNNING: 50.00%", nil},
		{"converting Mary Smith-O'Brien, born 1950-05-07, SSN 123-45-6789", "converting …", nil},
		{"no data for beneficiary 1S00A00AA00: not found", "no data for … not found", nil},
		{"Patient/mary-smith was deleted", "Patient/… was deleted", nil},
		{"Patient/7 was deleted", "… was deleted", nil},
		{"invalid_scope (asked for bulk-data|user/*.rs)", "invalid_scope (asked for bulk-data|user/*.rs)", []string{"bulk-data|user/*.rs"}},
		{"no group Zbigniewa-9, (Zbigniewa-9)", "no group Zbigniewa-9, (Zbigniewa-9)", []string{"Zbigniewa-9"}},
		{"no group Zbigniewa-8", "no group …", []string{"Zbigniewa-9"}},
		{"parameter q, not qq", "parameter q, not …", nil},
		{"oauth2 and sha256 of grant_type in $davinci-data-export", "oauth2 and sha256 of grant_type in $davinci-data-export", nil},
		{"transactionTime -- is missing", "transactionTime -- is missing", nil},
		{"client_secret=[redacted] is wrong for [credential]", "client_secret=[redacted] is wrong for [credential]", nil},
		{"see https://h.example/Mary?sig=SECRET, please", "see … please", nil},
		{"größer als 日本 in the request", "… in the request", nil},
		{"token eyJhbGciOiJSUzM4NCJ9.eyJzdWIiOiJtZSJ9.c2ln expired", "token … expired", nil},
	} {
		if got := transport.Words(test.text, test.known...); got != test.want {
			t.Errorf("Words(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}

// A name is removed whatever surrounds it.
func TestWordsLeavesNamesOut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		around := rapid.StringMatching("[a-z0-9 =:/.,'\"()<>$_|&%-]{0,20}")
		text := around.Draw(t, "before") + "Zbigniewa" + rapid.StringMatching("[ =:/.,'()|&%-][a-z ]{0,20}").Draw(t, "after")
		if got := transport.Words(text); strings.Contains(got, "Zbigniewa") {
			t.Errorf("Words(%q) = %q", text, got)
		}
	})
}

func TestWordsOf(t *testing.T) {
	t.Parallel()
	why := errors.New(`malformed HTTP status code "Mary Smith"`)
	got := transport.WordsOf(fmt.Errorf("connection broken: %w", why))
	if got.Error() != `connection … malformed HTTP status code …` || !errors.Is(got, why) {
		t.Errorf("got %v", got)
	}
}

// Resource types are kept in messages and in routes.
func TestWordsKnowsEveryType(t *testing.T) {
	t.Parallel()
	for _, name := range fhir.R4().ResourceTypes() {
		if transport.Words(name) != name || transport.Redact("https://h.example/"+name+".1.ndjson") != "https://h.example/"+name+".1.ndjson" {
			t.Errorf("%s is not known", name)
		}
	}
}

// The list decides which parts of servers' texts get into logs, so changes to it must be easy to
// see in a diff.
func TestWordsAreSorted(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("words.txt")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t") || i > 0 && words[i-1] >= w {
			t.Errorf("line %d, %q, is not one word after %q", i+1, w, words[max(i-1, 0)])
		}
	}
}
