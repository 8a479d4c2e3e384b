package pipeline

import (
	"strconv"
	"testing"
)

func TestCountingIDs(t *testing.T) {
	t.Parallel()
	for _, ids := range []int{0, 1, maxSample, maxSample + 1, 1_000_000} {
		var c idCount
		for n := range 3 * ids {
			c.add(hashOf(strconv.Itoa(n % max(ids, 1))))
		}
		off := max(int(c.count())-ids, ids-int(c.count()))
		if ids <= maxSample && off > 0 || off > ids/50 || len(c.sample) > maxSample {
			t.Errorf("%d ids count as %d, with %d hashes", ids, c.count(), len(c.sample))
		}
	}
}
