package pipeline

import (
	"strconv"
	"testing"

	"fhirkiln/columnar"
)

func TestCountingIDs(t *testing.T) {
	t.Parallel()
	for _, ids := range []int{0, 1, maxSample, maxSample + 1, 1_000_000} {
		var c idSample
		for n := range 3 * ids {
			c.add(columnar.Key{ID: strconv.Itoa(n % max(ids, 1))})
		}
		off := max(int(c.countExcept(nil))-ids, ids-int(c.countExcept(nil)))
		if ids <= maxSample && off > 0 || off > ids/50 || len(c.newest) > maxSample {
			t.Errorf("%d ids count as %d, with %d hashes", ids, c.countExcept(nil), len(c.newest))
		}
	}
}
