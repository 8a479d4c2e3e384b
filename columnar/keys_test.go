package columnar_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

func keys(t *testing.T, p finishedPart) []columnar.Key {
	t.Helper()
	r, err := columnar.NewReader(bytes.NewReader(p.parquet), int64(len(p.parquet)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []columnar.Key
	for k, err := range r.Keys() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	return all
}

func TestKeys(t *testing.T) {
	t.Parallel()
	var lines []string
	var want []columnar.Key
	for n := range 3000 { // several pages and row groups
		id := fmt.Sprintf("patient-%d", n)
		line := fmt.Sprintf(`{"resourceType":"Patient","id":%q}`, id)
		if n%7 == 0 {
			id, line = "", `{"resourceType":"Patient","id":7}`
		}
		lines = append(lines, line)
		want = append(want, columnar.Key{ResourceType: "Patient", ID: id, TransactionTime: origin.TransactionTime})
	}
	parts, _ := convert(t, columnar.Options{RowGroupBytes: 40_000, PageBytes: 1000}, strings.NewReader(strings.Join(lines, "\n")))
	if diff := cmp.Diff(want, keys(t, parts[0])); diff != "" {
		t.Errorf("keys (-want +got):\n%.2000s", diff)
	}

	buried, _, _ := bury(t, columnar.Options{}, bundle(deletion("Patient/1"), deletion("Claim/a")))
	want = []columnar.Key{{ResourceType: "Patient", ID: "1", TransactionTime: origin.TransactionTime}, {ResourceType: "Claim", ID: "a", TransactionTime: origin.TransactionTime}}
	if diff := cmp.Diff(want, keys(t, buried[0])); diff != "" {
		t.Errorf("keys of tombstones (-want +got):\n%s", diff)
	}

	// Iteration may stop early. A damaged file is an error.
	p := parts[0]
	r, err := columnar.NewReader(bytes.NewReader(p.parquet), int64(len(p.parquet)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range r.Keys() {
		break
	}
	damaged := bytes.Clone(p.parquet)
	clear(damaged[4 : len(damaged)/2])
	r, failed := columnar.NewReader(bytes.NewReader(damaged), int64(len(damaged)))
	if failed == nil {
		defer r.Close()
		for _, err := range r.Keys() {
			failed = err
		}
	}
	if failed == nil {
		t.Error("no error of a damaged file")
	}
}
