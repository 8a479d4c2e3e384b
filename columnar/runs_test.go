package columnar_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

// Runs of levels of all lengths around those at which their encoding changes.
func TestRunsOfLevels(t *testing.T) {
	t.Parallel()
	forms := []string{``, `,"name":[{}]`, `,"name":[{"given":["a"]}]`, `,"name":[{"given":["a","b"]},{"family":"c"}]`, `,"name":[]`,
		`,"name":[{"given":["` + strings.Repeat(`a","`, 99) + `"]}]`, `,"active":true`, `,"contact":[{"gender":"male"},{"telecom":[{"value":"1"},{}]}]`}
	lengths := []int{1, 2, 3, 7, 8, 9, 15, 16, 17, 55, 56, 57, 63, 64, 65, 71, 72, 73, 500}
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 1))
		var lines []string
		for len(lines) < 2000 {
			form := forms[r.IntN(len(forms))]
			for range lengths[r.IntN(len(lengths))] {
				lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","id":"%d"%s}`, len(lines), form))
			}
		}
		check(t, roundTrip(t, columnar.Options{}, lines...)[0])
		check(t, roundTrip(t, columnar.Options{PageBytes: 999, RowGroupBytes: 100_000}, lines...)[0])
	}
}

// Dictionaries of the sizes at which indices become wider.
func TestWidthsOfIndices(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 4, 5, 15, 16, 17, 255, 256, 257, 4000, 80_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && n > 60_000 {
				t.Skip("a large one")
			}
			r := rand.New(rand.NewPCG(uint64(n), 2))
			var lines []string
			for len(lines) < 3*n || len(lines) < 2000 {
				i := len(lines) / 3 % n
				if r.IntN(2) == 0 {
					i = r.IntN(i + 1)
				}
				for range []int{1, 1, 1, 1, 1, 1, 1, 80}[r.IntN(8)*min(1, 4000/n)] {
					lines = append(lines, fmt.Sprintf(`{"resourceType":"Basic","language":"%d"}`, i))
				}
			}
			part := roundTrip(t, columnar.Options{}, lines...)[0]
			check(t, part)
			for _, c := range open(t, part).Metadata().RowGroups[0].Columns {
				if strings.Join(c.MetaData.PathInSchema, ".") == "language" && c.MetaData.DictionaryPageOffset == 0 {
					t.Error("there is no dictionary")
				}
			}
		})
	}
}
