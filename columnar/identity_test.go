package columnar_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

func TestEachIsToldOfEveryRow(t *testing.T) {
	t.Parallel()
	lines := []string{
		`{"resourceType":"Patient","id":"1"}`,
		`{"id":"2","meta":{"lastUpdated":"2020-01-01T00:00:00Z","versionId":"7"},"resourceType":"Patient","contact":[{"id":"x","meta":{"versionId":"no"}}]}`,
		`{"resourceType":"Device","meta":{"versionId":"8","extension":[{"id":"y"}]},"id":"a\u00620c"}`,
		`{"resourceType":"Device","meta":{"versionId":"9"}}`,
		`{"resourceType":"Device","meta":{"versionId":"9"},"id":"b"}`, // the same object again
		`{"resourceType":"Device","id":5,"meta":{"versionId":6}}`,
		`{"resourceType":"Device","meta":[{"versionId":"9"}],"id":"3","id":"4"}`,
		`{"resourceType":"Device","id":"bad"`,
		`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"inner","meta":{"versionId":"1"}}}]}`,
	}
	var got []string
	w := columnar.NewWriter(columnar.Options{
		Create:     func(context.Context, string) (io.Writer, error) { return io.Discard, nil },
		Quarantine: func(context.Context, columnar.Quarantined) error { return nil },
		Each: each(func(resourceType string, id, version []byte) {
			got = append(got, fmt.Sprintf("%s %s %s", resourceType, id, version))
		}),
	})
	if _, err := w.Append(t.Context(), columnar.NewLines(bytes.NewReader([]byte(strings.Join(lines, "\n"))), 0), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"Patient 1 ", "Patient 2 7", "Device ab0c 8", "Device  9", "Device b 9", "Device  ", "Device 3 ", "Bundle  "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
