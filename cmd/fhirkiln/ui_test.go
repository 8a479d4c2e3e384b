package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
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
			"members  converting  1/4 files  1,000 of 4,000 resources  ETA 30s  20.0 MB  2.0 MB/s"},
		{"before it has the feed", pipeline.Snapshot{}, "members  preparing"},
		{"another export is at the server", pipeline.Snapshot{Phase: pipeline.Queued}, "members  queued  behind another export of the source  10s"},
		{"a run that was stopped", pipeline.Snapshot{Phase: pipeline.Ending}, "members  ending  10s"},
		{"no counts", pipeline.Snapshot{Phase: pipeline.Converting, Files: 4, Bytes: 20_000_000, Resources: 1000, Expected: -1},
			"members  converting  0/4 files  1,000 resources  20.0 MB  2.0 MB/s"},
		{"a second export is not faster for the first", pipeline.Snapshot{Phase: pipeline.Converting, Files: 4, FilesDone: 2,
			Bytes: 20_000_000, BytesBefore: 10_000_000, Resources: 3000, ResourcesBefore: 2000, Expected: 4000},
			"members  converting  2/4 files  3,000 of 4,000 resources  ETA 10s  20.0 MB  1.0 MB/s"},
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
	want := "0123456" + eraseLine + "a log line\n" + "0123456" + eraseLine + "another\n"
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Several runs have a line each, up to as many as fit any terminal.
func TestScreenOfSeveralLines(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := &screen{out: &out, width: 80}
	s.status("one", "two")
	s.status("one", "two", "three")
	s.above(func() { out.WriteString("a table\n") })
	s.clear()
	up := lineUp + eraseLine
	want := "one\ntwo" + eraseLine + up + "one\ntwo\nthree" + eraseLine + up + up + "a table\n" + "one\ntwo\nthree" + eraseLine + up + up
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out.Reset()
	s.status(slices.Repeat([]string{"feed"}, 40)...)
	if lines := strings.Split(out.String(), "\n"); len(lines) != maxLines || lines[maxLines-1] != "and 29 more" {
		t.Errorf("%q", lines)
	}
}

// What a run did, in words.
func TestPrintResult(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	incremental := []lake.ExportReport{{Since: new(since.Add(time.Hour))}, {Since: &since}}
	for name, test := range map[string]struct {
		report lake.Report
		want   string
	}{
		"nothing new": {
			lake.Report{Status: ledger.StatusPublished, Kind: ledger.KindIncremental, Exports: incremental,
				Moved: []lake.MoveReport{{Type: "*", From: "a", To: "b"}}},
			"members: nothing has changed since 2026-11-21T02:00:00Z (incremental run r1)\nwatermark: all types from a to b\n",
		},
		"nothing at all": {
			lake.Report{Status: ledger.StatusPublished, Kind: ledger.KindFull, Exports: []lake.ExportReport{{}}, Held: "the clock is wrong"},
			"members: the server has nothing for this feed (full run r1)\nwatermark: stays: the clock is wrong\n",
		},
		"everything at once": {
			lake.Report{Status: ledger.StatusPartial, Kind: ledger.KindIncremental, Resumed: true, Resources: 2, Exports: incremental,
				Members: &lake.MembersReport{Listed: 1204, New: 3, Left: 1}, Attachments: 5, ExportKept: "of them",
				Moved: []lake.MoveReport{{Type: "A", From: "x", To: "z"}, {Type: "B", To: "z"}, {Type: "C", From: "x", To: "z"}}},
			"members: resumed incremental run r1 is published\n" +
				"group members: 1,204 listed, 3 new, 1 left\n" +
				"attachments: 5 rows have URLs of files at the server\n" +
				"the export is kept at the server: of them\n" +
				"watermark: A, C from x to z\nwatermark: B to z\n",
		},
		"failed": {lake.Report{Status: lake.StatusFailed}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.report.Feed, test.report.Run = "members", "r1"
			var out strings.Builder
			u := newUI(console{stdout: &out, stderr: io.Discard, env: func(string) (string, bool) { return "", false }}, new(cli), "plain", "info")
			u.printResult(&test.report)
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if u.printResult(&test.report); out.String() != test.want+test.want {
				t.Errorf("printed again: %s", out.String())
			}
		})
	}
}

func TestAgeText(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s",
		25 * time.Hour: "1d01h", 23*time.Hour + 59*time.Minute: "23h59m", 400 * 24 * time.Hour: "400d00h",
	} {
		if got := ageText(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

// A line that is too long loses whole fields.
func TestFit(t *testing.T) {
	t.Parallel()
	const line = "members  1/4 files  1,000 of 4,000 resources"
	for width, want := range map[int]string{
		80: line, 44: line, 43: "members  1/4 files", 18: "members  1/4 files", 17: "members", 7: "members", 6: "member",
	} {
		if got := fit(line, width); got != want {
			t.Errorf("%d: got %q, want %q", width, got, want)
		}
	}
}

// The table of a large run fits a terminal.
func TestTableFits(t *testing.T) {
	t.Parallel()
	r := &lake.Report{Resources: 1_234_567_890, NDJSONBytes: 999.9e12, ParquetBytes: 999.9e9, Parts: make([]lake.Part, 99_999)}
	r.Finished = r.Started.Add(99*24*time.Hour + 23*time.Hour)
	for _, name := range []string{"ExplanationOfBenefit", "ServiceRequest"} {
		r.Types = append(r.Types, lake.TypeReport{Type: name, Files: 99_999, Rows: 987_654_321, NDJSONBytes: 999.9e9, Parts: 9_999, ParquetBytes: 999.9e9, Seconds: 99_999})
	}
	var b strings.Builder
	writeTable(&b, r)
	for line := range strings.Lines(b.String()) {
		if n := len(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
