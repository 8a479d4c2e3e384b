package lake

import (
	"testing"
	"time"
)

// Parsing a key returns what it was made from.
func TestKeysComeBack(t *testing.T) {
	t.Parallel()
	want := PartKey{Type: "Patient", Source: "bison", Feed: "members", Run: "r20261120t020000000z-5c01d2", Name: "p00001-4-8f0eccfd"}
	const key = "r4-core-1/Patient/kiln_source=bison/kiln_feed=members/kiln_run=r20261120t020000000z-5c01d2/p00001-4-8f0eccfd.parquet"
	if want.String() != key {
		t.Errorf("the key is %s", want)
	}
	if got, ok := parsePartKey(key); !ok || got != want {
		t.Errorf("it came back as %+v, %v", got, ok)
	}
	if run := runOf(key); run != want.Run {
		t.Errorf("it is of the run %q", run)
	}
	if run, rest := folderOf(QuarantineKey("r1", "q00001-1-aa")); run != "r1" || rest != "quarantine/q00001-1-aa.ndjson" {
		t.Errorf("quarantine is %s of the run %s", rest, run)
	}
	for _, other := range []string{"", "r4-core-1/Patient/p1.parquet", key + "/p2.parquet", key[:len(key)-1],
		"r4-core-1/Patient/kiln_source=bison/kiln_feed=members/run=r1/p1.parquet"} {
		if k, ok := parsePartKey(other); ok {
			t.Errorf("%s was taken for %+v", other, k)
		}
	}
}

func TestRunIDs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 3, 0, 0, 7e6, time.FixedZone("", 3600))
	first, second, later := NewRunID(at), NewRunID(at), NewRunID(at.Add(time.Millisecond))
	if first == second || first >= later || second >= later {
		t.Errorf("runs are called %s and %s, and then %s", first, second, later)
	}
	if began, ok := runTime(first); !ok || !began.Equal(at) {
		t.Errorf("%s began at %v, %v", first, began, ok)
	}
	for _, other := range []string{"", "r", "mine", "r20261120", "r20261320t020000000z-aaaaaa", "r20261120t020000-aaaaaa"} {
		if began, ok := runTime(other); ok {
			t.Errorf("%q began at %v", other, began)
		}
	}
}
