package lake_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// cleaned is a state from which gc seems to remove a run's list of parts each time that it is
// about to be read.
type cleaned struct {
	*sink.Dir
	times int
}

func (c *cleaned) Load(ctx context.Context, key string) ([]byte, sink.Version, error) {
	if strings.HasSuffix(key, "/parts.json") && c.times > 0 {
		c.times--
		return nil, "", fs.ErrNotExist
	}
	return c.Dir.Load(ctx, key)
}

func TestReadLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.publish(t, a{types: []string{"Patient", "Encounter"}}).Run
	for times, want := range []int{2, 2, 2, -1} {
		l := lake.Lake{Parts: w.dir, State: &cleaned{w.dir, times}}
		parts, err := l.ReadLive(t.Context(), []string{"members"}, nil)
		if want < 0 && !errors.Is(err, fs.ErrNotExist) || want >= 0 && (err != nil || len(parts) != want) {
			t.Errorf("removed %d times: %d parts, error %v", times, len(parts), err)
		}
	}
	parts, err := w.ReadLive(t.Context(), []string{"members"}, func(_ ledger.Feed, r ledger.PublishedRun) bool { return r.Run != run })
	if err != nil || len(parts) != 0 {
		t.Errorf("of no run: %v, error %v", parts, err)
	}
}
