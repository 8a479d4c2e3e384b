package columnar_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

// Ids and references to them take hardly more room than their information: 16 bytes, plus what
// dashes and the coding of letters cost. This holds in every row group, and in dictionaries.
func TestIDsAreSmall(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 9))
	uuid := func() string {
		return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<16), r.IntN(1<<16), r.Uint64()>>16)
	}
	const rows, patients, each = 20_000, 20_000/7 + 1, 195 // tenths of a byte
	var of []string
	for range patients {
		of = append(of, uuid())
	}
	var lines []string
	for i := range rows {
		identifier := "" // so that levels come before the ids
		if r.IntN(3) > 0 {
			identifier = fmt.Sprintf(`,"identifier":[{"value":"%s"}]`, uuid())
		}
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Observation","id":"%s"%s,"subject":{"reference":"Patient/%s"}}`, uuid(), identifier, of[i/7%patients]))
	}
	for _, rowGroup := range []int64{0, 1_500_000} {
		part := roundTrip(t, columnar.Options{RowGroupBytes: rowGroup}, lines...)[0]
		check(t, part)
		sizes := map[string]int64{}
		for _, g := range open(t, part).Metadata().RowGroups {
			for _, c := range g.Columns {
				size := c.MetaData.TotalCompressedSize
				if at := c.MetaData.DictionaryPageOffset; at > 0 {
					size = c.MetaData.DataPageOffset - at // the dictionary alone
				}
				sizes[strings.Join(c.MetaData.PathInSchema, ".")] += size
			}
		}
		groups := int64(len(open(t, part).RowGroups()))
		for path, limit := range map[string]int64{
			"id": rows * each / 10, "identifier.list.element.value": rows * 7 / 10 * each / 10, "subject.reference": (patients+groups)*each/10 + 50*groups,
		} {
			if sizes[path] > limit {
				t.Errorf("%d row groups: %s takes %d bytes, more than %d", groups, path, sizes[path], limit)
			}
		}
	}
}
