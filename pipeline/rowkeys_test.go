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
		off := max(int(c.count())-ids, ids-int(c.count()))
		if ids <= maxSample && off > 0 || off > ids/50 || len(c.newest) > maxSample {
			t.Errorf("%d ids count as %d, with %d hashes", ids, c.count(), len(c.newest))
		}
	}
}

// Samples of which one had to be thinned are compared by what both have kept.
func TestComparingIDs(t *testing.T) {
	t.Parallel()
	for _, ids := range []int{10, maxSample, 500_000} {
		var was, is idSample
		for n := range ids {
			was.add(columnar.Key{ID: strconv.Itoa(n), TransactionTime: "2026-01-01T00:00:00Z"})
			if n%2 == 0 {
				is.add(columnar.Key{ID: strconv.Itoa(n)})
			}
		}
		for n := range 2 * ids { // the first tenth is deleted, and so are others that nobody has; the rest were, and came back
			at := "2026-01-01T00:00:00Z"
			if n >= ids/10 && n < ids {
				at = "2025-12-31T00:00:00Z"
			}
			was.remove(columnar.Key{ID: strconv.Itoa(n), TransactionTime: at})
		}
		all, missing := was.notIn(&is)
		near := func(got int64, want int) bool {
			off := max(int(got)-want, want-int(got))
			return off == 0 || ids > maxSample && off < want/40
		}
		odd := 0 // of the live ones, those that is lacks
		for n := ids / 10; n < ids; n++ {
			odd += n % 2
		}
		if !near(all, ids-ids/10) || !near(missing, odd) {
			t.Errorf("of %d ids, %d are live and %d missing", ids, all, missing)
		}
	}
}
