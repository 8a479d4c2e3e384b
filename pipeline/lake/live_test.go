package lake_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// Live parts are those of the runs that the feed named when it was read.
func TestLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	types := []string{"Patient", "Encounter", "deleted"}
	var want []lake.LivePart
	for range 2 {
		r := w.publish(t, a{types: types})
		for _, p := range r.Parts {
			want = append(want, lake.LivePart{Feed: "members", Source: "bison", Run: r.Run, Part: p})
		}
	}
	feed := w.feed(t, "members")
	w.publish(t, a{types: types}) // after it was read
	read := func(f ledger.Feed) (parts []lake.LivePart, err error) {
		for p, err := range w.Live(t.Context(), f) {
			if err != nil {
				return parts, err
			}
			parts = append(parts, p)
		}
		return parts, nil
	}
	got, err := read(feed)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	one := feed
	one.Runs = feed.Runs[1:]
	if got, err := read(one); len(got) != 3 || got[0].Run != feed.Runs[1].Run || err != nil {
		t.Errorf("of one run: %v, error %v", got, err)
	}
	must(t, w.dir.Remove(t.Context(), lake.PartsKey(feed.Runs[0].Run)))
	if _, err := read(feed); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v for a run that is gone", err)
	}
}

func TestOpenPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publish(t, a{}).Parts[0]
	f, err := w.OpenPart(t.Context(), p.Key)
	must(t, err)
	defer f.Close()
	must(t, p.Check(f))
	for _, other := range []lake.Part{{Key: p.Key, Bytes: p.Bytes + 1, SHA256: p.SHA256}, {Key: p.Key, Bytes: p.Bytes, SHA256: "00"}} {
		if changed, ok := errors.AsType[*lake.PartChangedError](other.Check(f)); !ok || changed.Key != p.Key {
			t.Errorf("error %v of a part that was %+v", changed, other)
		}
	}
	must(t, w.dir.Remove(t.Context(), p.Key))
	if _, err := w.OpenPart(t.Context(), p.Key); err == nil || !errors.As(err, new(*lake.PartChangedError)) {
		t.Errorf("error %v of a part that is gone", err)
	}
}
