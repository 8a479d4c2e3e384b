package columnar_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

// A row of many elements takes memory for what it has, not for what it could have: a concept of a
// CodeSystem has many columns, most of them null, and an entry takes 24 bytes. The test is not
// parallel, because other tests' allocations would count.
func TestLongRowsAreReadInPieces(t *testing.T) {
	const concepts = 50_000
	line := `{"resourceType":"CodeSystem","concept":[` + strings.Repeat(`{"code":"a"},`, concepts-1) + `{"code":"a"}]}`
	part := roundTrip(t, columnar.Options{}, line)[0]
	for name, read := range map[string]func(*columnar.Reader) error{
		"restored": func(r *columnar.Reader) error { _, err := r.Next(); return err },
		"copied": func(r *columnar.Reader) error {
			w := columnar.NewWriter(columnar.Options{Create: memory{}.create})
			_, err := w.Copy(t.Context(), r)
			return err
		},
	} {
		r, err := columnar.NewReader(bytes.NewReader(part.parquet), int64(len(part.parquet)))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := read(r); err != nil {
			t.Error(err)
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / concepts; each > 600 {
			t.Errorf("%s, each concept took %d bytes", name, each)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
