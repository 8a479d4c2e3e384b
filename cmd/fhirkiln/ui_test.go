package main

import (
	"strings"
	"testing"
	"time"

	"fhirkiln/pipeline"
)

func TestStatusLine(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name string
		s    pipeline.Snapshot
		want string
	}{
		{"waiting", pipeline.Snapshot{Phase: pipeline.Waiting, Said: "30 %"}, "members  waiting  30 %  10s"},
		{"converting", pipeline.Snapshot{Phase: pipeline.Converting, Files: 4, FilesDone: 1, Bytes: 20_000_000, Resources: 1000, Expected: 4000},
			"members  converting  1/4 files  1,000 of 4,000 resources  20.0 MB  2.0 MB/s  ETA 30s"},
		{"no counts", pipeline.Snapshot{Phase: pipeline.Converting, Files: 4, Bytes: 20_000_000, Resources: 1000, Expected: -1},
			"members  converting  0/4 files  1,000 resources  20.0 MB  2.0 MB/s"},
		{"a second export is not faster for the first", pipeline.Snapshot{Phase: pipeline.Converting, Files: 4, FilesDone: 2,
			Bytes: 20_000_000, BytesBefore: 10_000_000, Resources: 3000, ResourcesBefore: 2000, Expected: 4000},
			"members  converting  2/4 files  3,000 of 4,000 resources  20.0 MB  1.0 MB/s  ETA 10s"},
	} {
		test.s.Since = since
		if got := statusLine("members", test.s, since.Add(10*time.Second)); got != test.want {
			t.Errorf("%s: got\n%s, want\n%s", test.name, got, test.want)
		}
	}
}

// Log lines push the status line down, and no status line wraps.
func TestScreen(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := &screen{out: &out, width: 80, size: func() int { return 8 }}
	s.status("0123456789")
	s.Write([]byte("a log line\n"))
	s.clear()
	s.Write([]byte("another\n"))
	want := eraseLine + "0123456" + eraseLine + "a log line\n" + "0123456" + eraseLine + "another\n"
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
